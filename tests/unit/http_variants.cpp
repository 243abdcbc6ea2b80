// One file in three codings: each is a representation of its own.

#include "tests/unit/http_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

struct Variants : HttpFixture {
    Variants() {
        write("page.html", plain);
        write("page.html.gz", "gzip: 0123456789");
        write("page.html.br", "brotli: 0123456789");
    }

    std::string fetch(const std::string& coding, const std::string& fields = "",
                      const std::string& method = "GET") {
        const std::string accepts = coding.empty() ? "" : "Accept-Encoding: " + coding + "\r\n";
        return exchange(method + " /page.html HTTP/1.1\r\nHost: a\r\n" + accepts + fields + "\r\n");
    }
    std::string tag(const std::string& coding) { return field_of(fetch(coding), "ETag"); }

    const std::string plain = "plain: 0123456789";
    const std::vector<std::string> codings = {"", "gzip", "br"};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_variants, Variants)

BOOST_AUTO_TEST_CASE(each_coding_has_its_own_tag) {
    BOOST_TEST(tag("") != tag("gzip"));
    BOOST_TEST(tag("") != tag("br"));
    BOOST_TEST(tag("gzip") != tag("br"));
}

BOOST_AUTO_TEST_CASE(one_file_under_two_codings_has_two_tags) {
    std::filesystem::remove(root / "page.html.gz");
    std::filesystem::create_hard_link(root / "page.html", root / "page.html.gz");
    BOOST_TEST(field_of(fetch("gzip"), "Content-Encoding") == "gzip");
    BOOST_TEST(tag("") != tag("gzip"));
}

BOOST_AUTO_TEST_CASE(a_tag_is_current_for_its_coding_alone) {
    for (const std::string& held : codings) {
        const std::string has = tag(held);
        for (const std::string& wanted : codings) {
            const bool same = held == wanted;
            const std::string unchanged = fetch(wanted, "If-None-Match: " + has + "\r\n");
            BOOST_TEST(status_of(unchanged) == (same ? "304" : "200"));
            BOOST_TEST(field_of(unchanged, "Vary") == "Accept-Encoding");
            BOOST_TEST(field_of(unchanged, "ETag") == tag(wanted));
            BOOST_TEST(status_of(fetch(wanted, "If-Match: " + has + "\r\n")) ==
                       (same ? "200" : "412"));
            const std::string part = fetch(wanted, "Range: bytes=0-3\r\nIf-Range: " + has + "\r\n");
            BOOST_TEST(status_of(part) == (same ? "206" : "200"));
            BOOST_TEST(field_of(part, "Vary") == "Accept-Encoding");
        }
    }
    const std::string all = tag("") + ", " + tag("gzip") + ", " + tag("br");
    const std::string unchanged = fetch("br", "If-None-Match: " + all + "\r\n");
    BOOST_TEST(status_of(unchanged) == "304");
    BOOST_TEST(field_of(unchanged, "ETag") == tag("br"));
    BOOST_TEST(field_of(unchanged, "Content-Encoding") == "-");
}

BOOST_AUTO_TEST_CASE(a_range_is_one_of_the_compressed_bytes) {
    const std::string part = fetch("gzip", "Range: bytes=6-9\r\n");
    BOOST_TEST(summary_of(part) == "206 0123");
    BOOST_TEST(field_of(part, "Content-Range") == "bytes 6-9/16");
    BOOST_TEST(field_of(part, "Content-Encoding") == "gzip");
    BOOST_TEST(summary_of(fetch("", "Range: bytes=6-9\r\n")) == "206  012");
    BOOST_TEST(field_of(fetch("br", "Range: bytes=99-\r\n"), "Content-Range") == "bytes */18");
}

// With Content-Encoding, a client would try to unpack the multipart itself.
BOOST_AUTO_TEST_CASE(several_ranges_of_what_is_compressed_get_all_of_it) {
    const std::string several = "Range: bytes=0-1,4-5\r\n";
    const std::string whole = fetch("gzip", several);
    BOOST_TEST(summary_of(whole) == "200 gzip: 0123456789");
    BOOST_TEST(field_of(whole, "Content-Encoding") == "gzip");
    BOOST_TEST(status_of(fetch("", several)) == "206");
}

BOOST_AUTO_TEST_CASE(head_chooses_as_get_does) {
    for (const std::string coding :
         {"", "gzip", "br", "gzip;q=0.5, br;q=0.1", "*;q=0", "identity"}) {
        const std::string got = fetch(coding);
        const std::string head = fetch(coding, "", "HEAD");
        BOOST_TEST(content_of(head) == "");
        for (const char* name : {"Content-Length", "Content-Encoding", "Content-Type", "ETag",
                                 "Last-Modified", "Vary", "Accept-Ranges"})
            BOOST_TEST(field_of(head, name) == field_of(got, name), coding << ": " << name);
    }
}

BOOST_AUTO_TEST_SUITE_END()
