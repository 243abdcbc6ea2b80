#include "worker/services/http_html.hpp"

#include <boost/test/unit_test.hpp>

using namespace preforkd::worker::http;

namespace {

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_html)

BOOST_AUTO_TEST_CASE(what_means_something_in_html_is_escaped) {
    BOOST_TEST(escape_html("a<b>&\"'c") == "a&lt;b&gt;&amp;&quot;&#39;c");
    BOOST_TEST(escape_html("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80") ==
               "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
    BOOST_TEST(escape_html("a\xff\xc0\xaf\n\x7f") ==
               "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

BOOST_AUTO_TEST_CASE(an_error_page_tells_its_status) {
    const std::string page = error_page(Status::not_found);
    BOOST_TEST(contains(page, "<title>404 Not Found</title>"));
    BOOST_TEST(contains(page, "There is nothing at this address."));
}

BOOST_AUTO_TEST_CASE(a_listing_is_sorted_with_folders_first) {
    const std::string page = listing_page(
        "", {{"b.txt", false, 1536, 784111777}, {"z", true, 0, 0}, {"a", false, 7, 0}}, false);
    BOOST_TEST(contains(page, "<h1>/</h1>"));
    BOOST_TEST(!contains(page, "../"));
    const auto folder = page.find("<a href=\"z/\">z/</a>");
    const auto a = page.find("<a href=\"a\">a</a></td><td class=\"size\">7 B</td>");
    const auto b = page.find(
        "<a href=\"b.txt\">b.txt</a></td><td class=\"size\">1.5 KiB</td>"
        "<td class=\"date\">1994-11-06 08:49</td>");
    BOOST_TEST(folder < a);
    BOOST_TEST(a < b);
    BOOST_TEST(b != std::string::npos);
    BOOST_TEST(!contains(page, "There is more"));
}

BOOST_AUTO_TEST_CASE(a_listing_escapes_every_name) {
    const std::string page = listing_page(
        "<x>", {{"\"><script>alert(1)</script>", false, 0, 0}, {"javascript:a", true, 0, 0}}, true);
    BOOST_TEST(contains(page, "<title>/&lt;x&gt;/</title>"));
    BOOST_TEST(contains(page, "<a href=\"../\">../</a>"));
    BOOST_TEST(contains(page, "<a href=\"%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E\">"));
    BOOST_TEST(contains(page, "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;</a>"));
    BOOST_TEST(contains(page, "href=\"javascript%3Aa/\""));
    BOOST_TEST(!contains(page, "<script"));
    BOOST_TEST(contains(page, "There is more"));
}

BOOST_AUTO_TEST_SUITE_END()
