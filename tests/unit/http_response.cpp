#include "worker/services/http_response.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

using namespace preforkd::worker::http;

namespace {

std::string start(Status status, Persistence persistence) {
    HeadStarts starts;
    starts.renew(784111777);
    char buffer[start_capacity];
    const char* const end = render_start(buffer, status, starts, persistence);
    BOOST_TEST(end - buffer <= std::ptrdiff_t{start_capacity});
    return std::string(buffer, static_cast<std::size_t>(end - buffer));
}

const Representation file{
    .type = "text/html; charset=utf-8", .etag = "\"tag\"", .size = 1234, .modified = 784111777};

}  // namespace

BOOST_AUTO_TEST_SUITE(http_response)

BOOST_AUTO_TEST_CASE(every_status_has_a_line) {
    BOOST_TEST(status_line(Status::ok) == "HTTP/1.1 200 OK\r\n");
    BOOST_TEST(reason_phrase(Status::fields_too_large) == "Request Header Fields Too Large");
    for (unsigned number = 200; number < 600; ++number) {
        const Status status{static_cast<std::uint16_t>(number)};
        const std::string line(status_line(status));
        if (line == status_line(Status::internal_error) && status != Status::internal_error)
            continue;  // not one of ours
        BOOST_TEST(line.substr(0, 13) == "HTTP/1.1 " + std::to_string(number) + " ");
        BOOST_TEST(line.substr(line.size() - 2) == "\r\n");
    }
}

BOOST_AUTO_TEST_CASE(a_head_starts_with_status_date_and_connection) {
    const std::string fields = "Server: preforkd\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    BOOST_TEST(start(Status::ok, Persistence::persists) == "HTTP/1.1 200 OK\r\n" + fields);
    BOOST_TEST(start(Status::not_modified, Persistence::closes) ==
               "HTTP/1.1 304 Not Modified\r\n" + fields + "Connection: close\r\n");
    BOOST_TEST(start(Status::fields_too_large, Persistence::persists_explicitly) ==
               "HTTP/1.1 431 Request Header Fields Too Large\r\n" + fields +
                   "Connection: keep-alive\r\n");
}

BOOST_AUTO_TEST_CASE(the_date_is_renewed_when_the_second_changes) {
    HeadStarts starts;
    starts.renew(0);
    const std::string first(starts.fields());
    starts.renew(1);
    BOOST_TEST(first.find("00:00:00 GMT") != std::string::npos);
    BOOST_TEST(std::string(starts.fields()).find("00:00:01 GMT") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_whole_file_has_all_fields_and_the_configured_ones) {
    BOOST_TEST(whole_fields(file, {}) ==
               "Content-Type: text/html; charset=utf-8\r\nContent-Length: 1234\r\n"
               "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"tag\"\r\n"
               "Accept-Ranges: bytes\r\n\r\n");
    Representation packed = file;
    packed.coding = Coding::brotli;
    const ConfiguredFields configured{"Cache-Control: max-age=60\r\n", "X-A: b\r\n"};
    BOOST_TEST(whole_fields(packed, configured) ==
               "Content-Type: text/html; charset=utf-8\r\nContent-Length: 1234\r\n"
               "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"tag\"\r\n"
               "Accept-Ranges: bytes\r\nContent-Encoding: br\r\nVary: Accept-Encoding\r\n"
               "Cache-Control: max-age=60\r\nX-A: b\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(what_varies_says_so_even_when_plain) {
    Representation plain = file;
    plain.varies = true;
    BOOST_TEST(whole_fields(plain, {}).find("Vary: Accept-Encoding\r\n") != std::string::npos);
    BOOST_TEST(not_modified_fields(plain, {}).find("Vary: Accept-Encoding\r\n") !=
               std::string::npos);
    BOOST_TEST(not_modified_fields(plain, {}).find("Content-Encoding") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(not_modified_has_no_content_fields) {
    BOOST_TEST(not_modified_fields(file, {"Cache-Control: no-cache\r\n", "X-A: b\r\n"}) ==
               "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"tag\"\r\n"
               "Cache-Control: no-cache\r\nX-A: b\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(parts_tell_their_range_or_their_boundary) {
    const std::string part = partial_fields(file, {}, "bytes 0-1/1234", 2);
    BOOST_TEST(part.substr(0, part.find("Last")) ==
               "Content-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\n"
               "Content-Range: bytes 0-1/1234\r\n");
    const std::string parts = multipart_fields(file, {}, "B", 99);
    BOOST_TEST(parts.substr(0, parts.find("Last")) ==
               "Content-Type: multipart/byteranges; boundary=B\r\nContent-Length: 99\r\n");
}

BOOST_AUTO_TEST_CASE(pages_are_rendered_with_what_their_status_demands) {
    const Pages pages({"Cache-Control: max-age=60\r\n", "X-A: b\r\n"},
                      {{Status::not_found, {"text/plain", "gone"}}});
    BOOST_TEST(pages.of(Status::not_found).text ==
               "Content-Type: text/plain\r\nContent-Length: 4\r\nX-A: b\r\n\r\ngone");
    BOOST_TEST(pages.of(Status::not_found).fields() ==
               "Content-Type: text/plain\r\nContent-Length: 4\r\nX-A: b\r\n\r\n");
    const std::string& refused = pages.of(Status::method_not_allowed).text;
    BOOST_TEST(refused.find("Allow: GET, HEAD, OPTIONS\r\n") != std::string::npos);
    BOOST_TEST(refused.find("Cache-Control") == std::string::npos);
    BOOST_TEST(pages.of(Status::unavailable).text.find("Retry-After: ") != std::string::npos);
    BOOST_TEST(pages.options().text == "Allow: GET, HEAD, OPTIONS\r\nX-A: b\r\n\r\n");
}

BOOST_AUTO_TEST_SUITE_END()
