#include "worker/services/http_options.hpp"

#include <boost/test/unit_test.hpp>
#include <set>

#include "shared/service_spec.hpp"

using namespace preforkd;
using namespace preforkd::worker::http;

namespace {

const KeySpec& key(const std::string& name) {
    static const std::vector<KeySpec> keys = option_keys();
    for (const KeySpec& each : keys)
        if (each.name == name) return each;
    BOOST_FAIL("no key " + name);
    return keys.front();
}

CheckedText check(const std::string& name, const std::string& text) {
    return key(name).check(text, "/base");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_options)

BOOST_AUTO_TEST_CASE(every_key_is_declared_once_and_documented) {
    std::set<std::string> names;
    for (const KeySpec& each : option_keys()) {
        BOOST_TEST(names.insert(each.name).second, each.name);
        BOOST_TEST(!each.doc.empty(), each.name);
    }
    for (const char* name :
         {"root", "index", "header_timeout", "body_timeout", "send_timeout", "idle_timeout",
          "max_connections", "max_head", "max_body", "cache", "symlinks", "dotfiles", "listing",
          "precompressed", "error_page", "add_header", "mime_types"})
        BOOST_TEST(names.count(name) == 1U, name);
}

BOOST_AUTO_TEST_CASE(the_declared_defaults_are_those_of_the_struct) {
    std::vector<Setting> settings;
    for (const KeySpec& each : option_keys())
        if (!each.required) settings.push_back({each.name, each.default_texts, {}});
    const auto read = read_options<Options>(option_keys(), settings);
    const Options plain;
    BOOST_TEST((read.header_timeout == plain.header_timeout));
    BOOST_TEST((read.body_timeout == plain.body_timeout));
    BOOST_TEST((read.send_timeout == plain.send_timeout));
    BOOST_TEST((read.idle_timeout == plain.idle_timeout));
    BOOST_TEST(read.max_connections == plain.max_connections);
    BOOST_TEST(read.max_head.value == plain.max_head.value);
    BOOST_TEST(read.max_body.value == plain.max_body.value);
    BOOST_TEST(read.cache.has_value() == plain.cache.has_value());
    BOOST_TEST((read.symlinks == plain.symlinks));
    BOOST_TEST(read.dotfiles == plain.dotfiles);
    BOOST_TEST(read.listing == plain.listing);
    BOOST_TEST(read.precompressed == plain.precompressed);
    BOOST_TEST(read.mime_types == plain.mime_types);
    BOOST_REQUIRE(read.index.size() == 1U);
    BOOST_TEST(read.index[0].value == "index.html");
}

BOOST_AUTO_TEST_CASE(an_index_is_the_name_of_a_file) {
    BOOST_TEST(check("index", "main.html").text == "main.html");
    for (const char* odd : {"", "a/b", "..", ".", "/"})
        BOOST_TEST(!check("index", odd).problem.empty(), odd);
}

BOOST_AUTO_TEST_CASE(added_fields_are_well_formed_and_not_the_servers_own) {
    BOOST_TEST(check("add_header", "X-A:b").text == "X-A: b");
    BOOST_TEST(check("add_header", "X-A:  b: c ").text == "X-A: b: c");
    BOOST_TEST(check("add_header", "Cache-Control: no-store").text == "Cache-Control: no-store");
    for (const char* odd :
         {"X-A", ": b", "X A: b", "X-A : b", "X-A: b\x01", "Content-Length: 3",
          "transfer-encoding: chunked", "CONNECTION: close", "Date: x", "Retry-After: 1"})
        BOOST_TEST(!check("add_header", odd).problem.empty(), odd);
}

BOOST_AUTO_TEST_CASE(an_error_page_has_a_status_and_a_file) {
    BOOST_TEST(check("error_page", "404 /a/b.html").text == "404 /a/b.html");
    BOOST_TEST(check("error_page", "503 \t b.html").text == "503 /base/b.html");
    for (const char* odd :
         {"404", "404 ", "a.html", "200 a.html", "499 a.html", "4040 a.html", "40x a"})
        BOOST_TEST(!check("error_page", odd).problem.empty(), odd);
}

BOOST_AUTO_TEST_CASE(a_status_has_one_page) {
    const Setting pages{"error_page",
                        {"404 /a", "403 /b", "404 /c", "404 /a"},
                        {{"conf", 9}, {"conf", 10}, {"conf", 11}, {"conf", 12}}};
    const auto problems = contradictions({pages});
    BOOST_REQUIRE(problems.size() == 2U);
    BOOST_TEST(problems[0].origin.line == 11U);
    BOOST_TEST(problems[0].what == "error_page: 404 has its page already, on line 9");
    BOOST_TEST(problems[0].hint == "keep one of the two");
    BOOST_TEST(problems[1].origin.line == 12U);
}

BOOST_AUTO_TEST_CASE(cache_control_is_set_by_one_key) {
    const Setting fields{"add_header",
                         {"X-A: b", "cache-control: no-store"},
                         {{"conf", 7}, {"-o listen.web.add_header", 0}}};
    BOOST_TEST(contradictions({{"cache", {""}, {}}, fields}).empty());
    const auto problems = contradictions({{"cache", {"1m"}, {{"conf", 5}}}, fields});
    BOOST_REQUIRE(problems.size() == 1U);
    BOOST_TEST(problems[0].origin.file == "-o listen.web.add_header");
    BOOST_TEST(problems[0].what == "add_header: Cache-Control is what 'cache' sets, on line 5");
    BOOST_TEST(problems[0].hint == "set either cache or add_header");
}

BOOST_AUTO_TEST_CASE(seconds_are_whole) {
    BOOST_TEST(check("header_timeout", "2000ms").text == "2s");
    BOOST_TEST(check("header_timeout", "1500ms").problem ==
               "'1500ms' is not a whole number of seconds; "
               "expected 1s to 1h, in whole seconds (units: s, m, h)");
    BOOST_TEST(!check("cache", "1500ms").problem.empty());
}

BOOST_AUTO_TEST_CASE(a_head_fits_what_a_connection_can_receive) {
    BOOST_TEST(check("max_head", "64k").problem.empty());
    BOOST_TEST(!check("max_head", "65k").problem.empty());
    BOOST_TEST(!check("max_head", "100").problem.empty());
}

BOOST_AUTO_TEST_SUITE_END()
