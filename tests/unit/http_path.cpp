#include "worker/services/http_path.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>

using namespace preforkd::worker::http;

namespace {

// "200 path", "200 path/" when it ends with a slash, or the status alone.
std::string clean(const std::string& path, bool serve_dotfiles = false) {
    static std::array<char, path_capacity> buffer;
    const CleanPath cleaned = clean_path(path, serve_dotfiles, buffer);
    std::string text = std::to_string(code(cleaned.status));
    if (cleaned.status != Status::ok) return text;
    BOOST_TEST(std::strlen(buffer.data()) == cleaned.path.size());
    text += ' ';
    text += cleaned.path;
    return text + (cleaned.ends_with_slash ? "/" : "");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_path)

BOOST_AUTO_TEST_CASE(plain_paths_lose_the_slash_in_front) {
    BOOST_TEST(clean("/") == "200 /");
    BOOST_TEST(clean("/a") == "200 a");
    BOOST_TEST(clean("/a/b.html") == "200 a/b.html");
    BOOST_TEST(clean("/a/b/") == "200 a/b/");
    BOOST_TEST(clean("/a..b/c.") == "200 a..b/c.");
    BOOST_TEST(clean("/a:b\\c") == "200 a:b\\c");
}

BOOST_AUTO_TEST_CASE(repeated_slashes_count_as_one) {
    BOOST_TEST(clean("//host/a") == "200 host/a");
    BOOST_TEST(clean("//") == "200 /");
    BOOST_TEST(clean("/a///b//") == "200 a/b/");
}

BOOST_AUTO_TEST_CASE(percent_signs_are_decoded_once) {
    BOOST_TEST(clean("/%61%2Db%20c") == "200 a-b c");
    BOOST_TEST(clean("/%2561") == "200 %61");
    BOOST_TEST(clean("/%252e%252e/a") == "200 %2e%2e/a");
    BOOST_TEST(clean("/%c3%a4") == "200 \xc3\xa4");
    BOOST_TEST(clean("/%3f%23") == "200 ?#");
    for (const char* broken : {"/%", "/%4", "/%zz", "/%4g", "/a%", "/%%41", "/%4/1", "/%u0041"})
        BOOST_TEST(clean(broken) == "400", broken);
}

BOOST_AUTO_TEST_CASE(nul_and_controls_are_refused) {
    for (const char* odd : {"/%00", "/a%00.html", "/a%0d%0ab", "/%1f", "/%7f", "/%09"})
        BOOST_TEST(clean(odd) == "400", odd);
}

BOOST_AUTO_TEST_CASE(dot_segments_are_refused_in_any_dress) {
    for (const char* dress :
         {"/..", "/../", "/a/..", "/a/../b", "/%2e%2e", "/%2E%2e/a", "/.%2e/a", "/a/%2e./b", "/.",
          "/./a", "/%2e/a", "/..//a", "//../a", "/a/.", "/..%2fa", "/%2e%2e%2fetc%2fpasswd",
          "/a%2f..%2fb", "/%2fetc", "/a%2Fb"}) {
        BOOST_TEST(clean(dress) == "400", dress);
        BOOST_TEST(clean(dress, true) == "400", dress);
    }
    BOOST_TEST(clean("/...") == "404");
    BOOST_TEST(clean("/..;/a") == "404");
    BOOST_TEST(clean("/..%5c..%5ca") == "404");
    BOOST_TEST(clean("/...", true) == "200 ...");
}

BOOST_AUTO_TEST_CASE(malformed_utf8_is_refused) {
    for (const char* odd : {"/%c0%ae%c0%ae/", "/%c0%af", "/%c1%9c", "/%e0%80%ae", "/%e0%80%af",
                            "/%f0%80%80%ae", "/%f8%80%80%80%ae", "/%80", "/%c3", "/%c3/%a4",
                            "/%ed%a0%80", "/%f4%90%80%80", "/%ff", "/%fe"})
        BOOST_TEST(clean(odd, true) == "400", odd);
    for (const char* good : {"/%c2%80", "/%e0%a0%80", "/%ed%9f%bf", "/%ef%bf%bf", "/%f0%90%80%80",
                             "/%f4%8f%bf%bf", "/%e2%82%ac"})
        BOOST_TEST(clean(good).substr(0, 3) == "200", good);
}

BOOST_AUTO_TEST_CASE(dot_files_are_hidden_but_for_well_known) {
    for (const char* hidden : {"/.git/config", "/.htaccess", "/a/.b", "/%2egit", "/a/.well-known/b",
                               "/.well-known/.a", "/.well-knownx", "/a/.b/c"}) {
        BOOST_TEST(clean(hidden) == "404", hidden);
        BOOST_TEST(clean(hidden, true).substr(0, 3) == "200", hidden);
    }
    BOOST_TEST(clean("/.well-known/acme-challenge/x") == "200 .well-known/acme-challenge/x");
    BOOST_TEST(clean("//.well-known/") == "200 .well-known/");
}

BOOST_AUTO_TEST_CASE(a_path_that_no_call_would_take_is_414) {
    BOOST_TEST(clean("/" + std::string(4094, 'a')).size() == 4 + 4094U);
    BOOST_TEST(clean("/" + std::string(4095, 'a')) == "414");
    std::string deep;
    for (int i = 0; i < 2047; ++i) deep += "/a";
    BOOST_TEST(clean(deep).size() == 4 + 4093U);
    BOOST_TEST(clean(deep + "/a/a") == "414");
}

BOOST_AUTO_TEST_CASE(the_location_of_a_folder_is_relative_whatever_its_name) {
    BOOST_TEST(folder_location("a/b", "") == "./b/");
    BOOST_TEST(folder_location("a", "?q=1&r") == "./a/?q=1&r");
    BOOST_TEST(folder_location("a", "?q=%41%&'/?:@") == "./a/?q=%41%&'/?:@");
    BOOST_TEST(folder_location("a", "?[\\^`{|}]") == "./a/?%5B%5C%5E%60%7B%7C%7D%5D");
    BOOST_TEST(folder_location("evil.example", "") == "./evil.example/");
    BOOST_TEST(folder_location("http:", "") == "./http%3A/");
    BOOST_TEST(folder_location("a/\\evil \"<\xc3\xa4", "") == "./%5Cevil%20%22%3C%C3%A4/");
}

BOOST_AUTO_TEST_SUITE_END()
