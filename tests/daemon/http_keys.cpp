#include <array>

#include "daemon.hpp"
#include "site.hpp"
#include "unit/http_text.hpp"

// What each key of `service = http` does, from the file of a real daemon to the wire.

using namespace preforkd::testing;
using preforkd::test::field_of;
using preforkd::test::status_of;
using preforkd::test::summary_of;

namespace {

/// One listener for each choice of keys, all of the same site.
struct Keys {
    Site site;
    std::string sections;

    Keys() { site.write("hello.txt", "hello"); }

    void add(const std::string& name, const std::string& keys) {
        sections += listener(name, "http", "root = " + site.root + "\n" + keys);
    }
};

/// Everything the server says after `bytes`, up to the end that it makes.
std::string told(const std::string& address, const std::string& bytes) {
    Client client(address);
    client.send(bytes);
    return client.receive_rest();
}

/// The mode of a file or folder for as long as this lives; then it can be removed.
class Mode {
  public:
    Mode(std::string path, mode_t mode) : path_(std::move(path)) {
        BOOST_REQUIRE(::chmod(path_.c_str(), mode) == 0);
    }
    Mode(const Mode&) = delete;
    ~Mode() { ::chmod(path_.c_str(), 0755); }

  private:
    std::string path_;
};

constexpr const char* post = "POST / HTTP/1.1\r\nHost: test\r\n";

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_keys, Keys)

BOOST_AUTO_TEST_CASE(symlinks_are_followed_inside_the_root_or_denied) {
    std::filesystem::create_symlink("hello.txt", site.root + "/link");
    add("inside", "");
    add("deny", "symlinks = deny\n");
    Daemon server({.sections = sections});
    server.start();
    BOOST_TEST(summary_of(fetch(server.address("inside"), "/link")) == "200 hello");
    BOOST_TEST(status_of(fetch(server.address("deny"), "/link")) == "404");
    BOOST_TEST(summary_of(fetch(server.address("deny"), "/hello.txt")) == "200 hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(dotfiles_are_hidden_or_served) {
    site.write(".hidden", "hidden");
    add("hidden", "");
    add("served", "dotfiles = yes\n");
    Daemon server({.sections = sections});
    server.start();
    BOOST_TEST(status_of(fetch(server.address("hidden"), "/.hidden")) == "404");
    BOOST_TEST(summary_of(fetch(server.address("served"), "/.hidden")) == "200 hidden");
    server.stop();
}

BOOST_AUTO_TEST_CASE(precompressed_files_are_looked_for_or_not) {
    site.write("hello.txt.gz", "packed");
    add("packed", "");
    add("plain", "precompressed = no\n");
    Daemon server({.sections = sections});
    server.start();
    const std::string accepts = "Accept-Encoding: gzip\r\n";
    const std::string packed = fetch(server.address("packed"), "/hello.txt", accepts);
    BOOST_TEST(summary_of(packed) == "200 packed");
    BOOST_TEST(field_of(packed, "Content-Encoding") == "gzip");
    const std::string plain = fetch(server.address("plain"), "/hello.txt", accepts);
    BOOST_TEST(summary_of(plain) == "200 hello");
    BOOST_TEST(field_of(plain, "Content-Encoding") == "-");
    BOOST_TEST(field_of(plain, "Vary") == "-");
    server.stop();
}

BOOST_AUTO_TEST_CASE(index_names_the_files_that_stand_for_a_folder) {
    site.write("index.html", "usual");
    site.write("second", "second of two");
    add("usual", "");
    add("named", "index = first\nindex = second\n");
    Daemon server({.sections = sections});
    server.start();
    BOOST_TEST(summary_of(fetch(server.address("usual"), "/")) == "200 usual");
    BOOST_TEST(summary_of(fetch(server.address("named"), "/")) == "200 second of two");
    server.stop();
}

BOOST_AUTO_TEST_CASE(mime_types_names_a_file_of_types) {
    site.write("types", "text/x-greeting txt\n");
    add("own", "mime_types = " + site.root + "/types\n");
    add("none", "mime_types = /dev/null\n");
    Daemon server({.sections = sections});
    server.start();
    BOOST_TEST(field_of(fetch(server.address("own"), "/hello.txt"), "Content-Type") ==
               "text/x-greeting; charset=utf-8");
    BOOST_TEST(field_of(fetch(server.address("none"), "/hello.txt"), "Content-Type") ==
               "text/plain; charset=utf-8");
    server.stop();
}

BOOST_AUTO_TEST_CASE(cache_tells_how_long_a_file_may_be_kept) {
    add("silent", "");
    add("minute", "cache = 60s\n");
    add("never", "cache = 0s\n");
    Daemon server({.sections = sections});
    server.start();
    const auto cache_control = [&server](const std::string& name) {
        return field_of(fetch(server.address(name), "/hello.txt"), "Cache-Control");
    };
    BOOST_TEST(cache_control("silent") == "-");
    BOOST_TEST(cache_control("minute") == "max-age=60");
    BOOST_TEST(cache_control("never") == "no-cache");
    server.stop();
}

BOOST_AUTO_TEST_CASE(add_header_says_of_caching_what_cache_can_not) {
    add("web", "add_header = Cache-Control: public, immutable\n");
    Daemon server({.sections = sections});
    server.start();
    for (const char* path : {"/hello.txt", "/missing"})
        BOOST_TEST(field_of(fetch(server.address("web"), path), "Cache-Control") ==
                   "public, immutable");
    server.stop();
}

BOOST_AUTO_TEST_CASE(keys_that_contradict_each_other_are_told_with_both_lines) {
    add("web",
        "cache = 60s\nadd_header = X-A: b\nadd_header = Cache-Control: private\nindex =\n"
        "error_page = 404 a\nerror_page = 404 b\n");
    Daemon server({.sections = sections});
    const Outcome outcome = run_preforkd({"-t", "-c", server.config_file()});
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(holds_all(outcome.printed,
                         {"test.conf:11: listen.web: add_header: Cache-Control is what 'cache' "
                          "sets, on line 9\n    set either cache or add_header\n",
                          "test.conf:12: listen.web: index: no value; expected the name",
                          "test.conf:14: listen.web: error_page: 404 has its page already, on line "
                          "13\n    keep one of the two\n"}),
               outcome.printed);
}

BOOST_AUTO_TEST_CASE(listing_shows_folders_without_index) {
    add("off", "");
    add("on", "listing = yes\n");
    Daemon server({.sections = sections});
    server.start();
    BOOST_TEST(status_of(fetch(server.address("off"), "/")) == "404");
    const std::string listing = fetch(server.address("on"), "/");
    BOOST_TEST(status_of(listing) == "200");
    BOOST_TEST(listing.find("<a href=\"hello.txt\">hello.txt</a>") != std::string::npos, listing);
    server.stop();
}

BOOST_AUTO_TEST_CASE(error_page_is_sent_with_its_status) {
    site.write("lost.html", "lost");
    add("web", "error_page = 404 " + site.root + "/lost.html\n");
    Daemon server({.sections = sections});
    server.start();
    const std::string missing = fetch(server.address("web"), "/missing");
    BOOST_TEST(summary_of(missing) == "404 lost");
    BOOST_TEST(field_of(missing, "Content-Type") == "text/html; charset=utf-8");
    BOOST_TEST(summary_of(fetch(server.address("web"), "/hello.txt")) == "200 hello");
    server.stop();
}

// Whoever the workers run as owns none of these or may read none of them.
BOOST_AUTO_TEST_CASE(what_may_not_be_read_is_403_with_its_page) {
    site.write("no.html", "not for you");
    site.make_folder("open");
    site.write("open/index.html", "secret");
    site.make_folder("closed");
    site.write("closed/file", "secret");
    site.make_folder("unlisted");
    site.write("unlisted/file", "known by name");
    site.write("hello.txt.gz", "secret");
    const Mode packed(site.root + "/hello.txt.gz", 0);
    const Mode index(site.root + "/open/index.html", 0);
    const Mode closed(site.root + "/closed", 0);
    const Mode unlisted(site.root + "/unlisted", 0311);
    add("web", "listing = yes\nerror_page = 403 " + site.root + "/no.html\n");
    Daemon server({.sections = sections});
    server.start();
    const std::string address = server.address("web");
    for (const char* path : {"/open/index.html", "/open/", "/closed/", "/closed/file",
                             "/closed/missing", "/hello.txt.gz", "/unlisted/"})
        BOOST_TEST(summary_of(fetch(address, path)) == "403 not for you", path);
    BOOST_TEST(summary_of(fetch(address, "/unlisted/file")) == "200 known by name");
    BOOST_TEST(status_of(fetch(address, "/open")) == "301");
    server.wait_for_line({" warning ", "can't serve '/open/index.html'", "Permission denied",
                          "let the workers' user read it"});
    // What can't be read is not there in place of what can.
    BOOST_TEST(summary_of(fetch(address, "/hello.txt", "Accept-Encoding: gzip\r\n")) ==
               "200 hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(add_header_is_in_every_response) {
    site.make_folder("sub");
    add("web", "add_header = X-Frame-Options: DENY\nadd_header = X-Other: a, b\n");
    Daemon server({.sections = sections});
    server.start();
    const std::string address = server.address("web");
    const std::string tag = field_of(fetch(address, "/hello.txt"), "ETag");
    const std::array<std::array<std::string, 3>, 7> cases = {{
        {"200", "/hello.txt", ""},
        {"206", "/hello.txt", "Range: bytes=0-0\r\n"},
        {"301", "/sub", ""},
        {"304", "/hello.txt", "If-None-Match: " + tag + "\r\n"},
        {"404", "/missing", ""},
        {"412", "/hello.txt", "If-Match: \"x\"\r\n"},
        {"416", "/hello.txt", "Range: bytes=9-\r\n"},
    }};
    for (const auto& [status, path, fields] : cases) {
        const std::string answer = fetch(address, path, fields);
        BOOST_TEST(status_of(answer) == status);
        BOOST_TEST(field_of(answer, "X-Frame-Options") == "DENY", answer);
        BOOST_TEST(field_of(answer, "X-Other") == "a, b", answer);
    }
    const std::string refused = told(address, "nonsense\r\n\r\n");
    BOOST_TEST(status_of(refused) == "400");
    BOOST_TEST(field_of(refused, "X-Frame-Options") == "DENY");
    server.stop();
}

BOOST_AUTO_TEST_CASE(max_head_bounds_a_request_head) {
    add("web", "max_head = 1k\n");
    Daemon server({.sections = sections});
    server.start();
    const std::string address = server.address("web");
    const auto sized = [](std::size_t size) {
        const std::string head = request("/hello.txt", "close", "X: \r\n");
        return "X: " + std::string(size - head.size(), 'x') + "\r\n";
    };
    BOOST_TEST(summary_of(fetch(address, "/hello.txt", sized(1024))) == "200 hello");
    BOOST_TEST(status_of(fetch(address, "/hello.txt", sized(1025))) == "431");
    BOOST_TEST(status_of(fetch(address, "/" + std::string(1024, 'a'))) == "414");
    server.stop();
}

BOOST_AUTO_TEST_CASE(max_body_bounds_a_request_body) {
    add("web", "max_body = 4k\n");
    Daemon server({.sections = sections});
    server.start();
    const std::string address = server.address("web");
    const std::string largest(4096, 'b');
    BOOST_TEST(summary_of(told(address, request("/hello.txt", "close", "Content-Length: 4096\r\n") +
                                            largest)) == "200 hello");
    BOOST_TEST(status_of(told(address, request("/", "close", "Content-Length: 4097\r\n"))) ==
               "413");
    const std::string chunked =
        request("/hello.txt", "close", "Transfer-Encoding: chunked\r\n") + "1000\r\n" + largest;
    BOOST_TEST(summary_of(told(address, chunked + "\r\n0\r\n\r\n")) == "200 hello");
    BOOST_TEST(status_of(told(address, chunked + "\r\n1\r\n")) == "413");
    server.stop();
}

BOOST_AUTO_TEST_CASE(header_and_body_timeouts_end_slow_requests_with_408) {
    add("web", "header_timeout = 1s\nbody_timeout = 1s\n");
    Daemon server({.sections = sections});
    server.start();
    const std::string address = server.address("web");
    {
        Client head(address);
        Client body(address);
        Client chunks(address);
        head.send("GET / HTTP/1.1\r\nHo");
        body.send(post + std::string("Content-Length: 100\r\n\r\na"));
        chunks.send(post + std::string("Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"));
        BOOST_TEST(status_of(head.receive_rest()) == "408");
        BOOST_TEST(status_of(body.receive_rest()) == "408");
        BOOST_TEST(status_of(chunks.receive_rest()) == "408");
    }
    server.stop();
}

// A second for each KiB that has come: the quick start buys time that the slow rest uses up.
BOOST_AUTO_TEST_CASE(a_body_may_come_at_a_kibibyte_a_second_on_the_average) {
    add("web", "body_timeout = 1s\n");
    Daemon server({.sections = sections});
    server.start();
    {
        Client slow(server.address("web"));
        Client quick(server.address("web"));
        const std::string head = post + std::string("Content-Length: 61441\r\n\r\n");
        quick.send(head + std::string(61440, 'b'));  // 60 s
        slow.send(head + std::string(1023, 'b'));    // none
        BOOST_TEST(status_of(slow.receive_rest()) == "408");
        quick.send("b");
        BOOST_TEST(quick.receive_line() == "HTTP/1.1 405 Method Not Allowed\r");
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(idle_timeout_ends_silent_connections_without_a_word) {
    add("web", "idle_timeout = 1s\n");
    Daemon server({.sections = sections});
    server.start();
    Client client(server.address("web"));
    client.send(request("/hello.txt", "keep-alive"));
    BOOST_TEST(summary_of(client.receive_rest()) == "200 hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(send_timeout_ends_a_client_that_takes_nothing) {
    site.write("large", std::string(20'000'000, 'x'));
    add("web", "send_timeout = 1s\n");
    Daemon server({.keys = "workers = 1\n", .sections = sections});
    server.start();
    Client client(server.address("web"));
    client.send(request("/large", "keep-alive"));
    // The worker has gone only once its last connection has.
    server.stop();
}

BOOST_AUTO_TEST_CASE(max_connections_bounds_each_worker) {
    add("web", "max_connections = 1\n");
    Daemon server({.keys = "workers = 1\n", .sections = sections});
    server.start();
    Client busy(server.address("web"));
    busy.send("GET /hello.txt HTTP/1.1\r\n");
    std::string refused;
    // Until its first bytes have come the busy one counts as idle, and may be closed.
    while (status_of(refused = fetch(server.address("web"), "/hello.txt")) == "200") {
        busy = Client(server.address("web"));
        busy.send("GET /hello.txt HTTP/1.1\r\n");
    }
    BOOST_TEST(status_of(refused) == "503");
    BOOST_TEST(field_of(refused, "Retry-After") == "2");
    busy.send("Host: test\r\nConnection: close\r\n\r\n");
    BOOST_TEST(summary_of(busy.receive_rest()) == "200 hello");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
