#include "worker/services/http_mime.hpp"

#include <boost/test/unit_test.hpp>

using namespace preforkd::worker::http;

BOOST_AUTO_TEST_SUITE(http_mime)

BOOST_AUTO_TEST_CASE(common_files_have_their_type_without_any_file_of_types) {
    const MimeTypes types;
    BOOST_TEST(types.type_of("index.html") == "text/html; charset=utf-8");
    BOOST_TEST(types.type_of("a/b.c/INDEX.HTM") == "text/html; charset=utf-8");
    BOOST_TEST(types.type_of("a.css") == "text/css; charset=utf-8");
    BOOST_TEST(types.type_of("a.js") == "text/javascript; charset=utf-8");
    BOOST_TEST(types.type_of("a.json") == "application/json");
    BOOST_TEST(types.type_of("a.svg") == "image/svg+xml");
    BOOST_TEST(types.type_of("a.xml") == "application/xml");
    BOOST_TEST(types.type_of("a.tar.gz") == "application/gzip");
    BOOST_TEST(types.type_of("a.woff2") == "font/woff2");
}

BOOST_AUTO_TEST_CASE(what_has_no_known_extension_is_a_stream_of_bytes) {
    const MimeTypes types;
    for (const char* name : {"", "a", "a.", "a.unheard", ".html", "a.html/b", "a/.css"})
        BOOST_TEST(types.type_of(name) == "application/octet-stream", name);
}

BOOST_AUTO_TEST_CASE(a_file_of_types_overrules_the_table) {
    MimeTypes types;
    types.add(
        "# comment\n"
        "text/x-own\t\town OWN2 # html\n"
        "Application/X-Html html\r\n"
        "application/none\n"
        "\n"
        "nonsense html\n"
        "text/ html\n"
        "te(xt/a html\n"
        "text/xml  last");
    BOOST_TEST(types.type_of("a.own") == "text/x-own; charset=utf-8");
    BOOST_TEST(types.type_of("a.own2") == "text/x-own; charset=utf-8");
    BOOST_TEST(types.type_of("a.html") == "application/x-html");
    BOOST_TEST(types.type_of("a.last") == "text/xml");
    BOOST_TEST(types.type_of("a.css") == "text/css; charset=utf-8");
}

BOOST_AUTO_TEST_SUITE_END()
