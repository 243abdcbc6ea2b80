#include <boost/test/unit_test.hpp>
#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "shared/config_schema.hpp"
#include "shared/key.hpp"
#include "shared/scoreboard.hpp"
#include "tests/unit/config_fixture.hpp"

using namespace config_fixture;

BOOST_AUTO_TEST_SUITE(config_values)

namespace {

const KeySpec& web_key(const std::string& name) {
    static const ServiceSpec web = web_service();
    return *find_key(web.keys, name);
}

struct Row {
    std::string key;
    std::string text;
    std::string canonical;  ///< empty: it is a fault, or the value is empty
    std::string problem;
};

void check_row(const KeySpec& key, const Row& row) {
    BOOST_TEST_CONTEXT(row.key << " = '" << row.text << "'") {
        const CheckedText checked = key.check(row.text, "/base");
        BOOST_TEST(checked.text == row.canonical);
        BOOST_TEST(checked.problem == row.problem);
        if (!checked.problem.empty()) return;
        const CheckedText again = key.check(checked.text, "/elsewhere");
        BOOST_TEST(again.text == row.canonical);
        BOOST_TEST(again.problem == "");
    }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_kind_of_value_has_one_canonical_text) {
    const std::vector<Row> rows = {
        {"idle_timeout", "1000ms", "1s", ""},
        {"idle_timeout", "90s", "90s", ""},
        {"idle_timeout", "1500ms", "1500ms", ""},
        {"idle_timeout", "120s", "2m", ""},
        {"idle_timeout", "60m", "1h", ""},
        {"max_age", "off", "off", ""},
        {"max_age", "24h", "24h", ""},
        {"max_connections", "1", "1", ""},
        {"max_connections", "007", "7", ""},
        {"max_connections", "4294967295", "4294967295", ""},
        {"offset", "-5", "-5", ""},
        {"max_body", "1024", "1k", ""},
        {"max_body", "1025", "1025", ""},
        {"max_body", "1g", "1g", ""},
        {"max_body", "2048k", "2m", ""},
        {"mode", "644", "0644", ""},
        {"mode", "0", "0000", ""},
        {"listing", "on", "yes", ""},
        {"listing", "true", "yes", ""},
        {"listing", "yes", "yes", ""},
        {"listing", "off", "no", ""},
        {"listing", "false", "no", ""},
        {"listing", "no", "no", ""},
        {"colour", "red", "red", ""},
        {"title", "two words", "two words", ""},
        {"title", "", "", ""},
        {"add_header", "", "", ""},
        {"cache", "", "", ""},
        {"cache", "off", "off", ""},
        {"cache", "64k", "64k", ""},
        {"root", "www", "/base/www", ""},
        {"root", "./a//b/./c/", "/base/a/b/c", ""},
        {"root", "../a", "/base/../a", ""},
        {"root", "/", "/", ""},
        {"root", ".", "/base", ""},
        {"index_file", "", "", ""},
        {"owner", "www-data", "www-data", ""},
        {"owner", "", "", ""},
        {"team", "", "", ""},
    };
    for (const Row& row : rows) check_row(web_key(row.key), row);
}

BOOST_AUTO_TEST_CASE(a_wrong_value_is_told_what_it_should_have_been) {
    const std::string idle = "; expected 1s to 1h (units: ms, s, m, h)";
    const std::string body = "; expected 1k to 1g (bytes, or units: k, m, g)";
    const std::vector<Row> rows = {
        {"idle_timeout", "30", "", "'30' has no unit" + idle},
        {"idle_timeout", "", "", "no value" + idle},
        {"idle_timeout", "500ms", "", "'500ms' is out of range" + idle},
        {"idle_timeout", "3601s", "", "'3601s' is out of range" + idle},
        {"idle_timeout", "-1s", "", "'-1s' is not a number with a unit" + idle},
        {"idle_timeout", "s", "", "'s' is not a number with a unit" + idle},
        {"idle_timeout", "5d", "", "'5d' has an unknown unit" + idle},
        {"idle_timeout", "5 s", "", "'5 s' has an unknown unit" + idle},
        {"idle_timeout", "1.5s", "", "'1.5s' has an unknown unit" + idle},
        {"idle_timeout", "9223372036854775807h", "",
         "'9223372036854775807h' is out of range" + idle},
        {"idle_timeout", "99999999999999999999s", "",
         "'99999999999999999999s' is out of range" + idle},
        {"max_age", "1500ms", "",
         "'1500ms' is not a whole number of seconds; "
         "expected 'off' or 1s to 24h, in whole seconds (units: s, m, h)"},
        {"max_age", "0s", "",
         "'0s' is out of range; "
         "expected 'off' or 1s to 24h, in whole seconds (units: s, m, h)"},
        {"max_connections", "0", "", "'0' is out of range; expected 1 or more"},
        {"max_connections", "-1", "", "'-1' is not a number; expected 1 or more"},
        {"max_connections", "+1", "", "'+1' is not a number; expected 1 or more"},
        {"max_connections", "1x", "", "'1x' is not a number; expected 1 or more"},
        {"max_connections", "4294967296", "", "'4294967296' is out of range; expected 1 or more"},
        {"offset", "-6", "", "'-6' is out of range; expected -5 to 5"},
        {"max_body", "1023", "", "'1023' is out of range" + body},
        {"max_body", "2g", "", "'2g' is out of range" + body},
        {"max_body", "k", "", "'k' is not a number with a unit" + body},
        {"max_body", "1t", "", "'1t' has an unknown unit" + body},
        {"max_body", "18446744073709551615g", "", "'18446744073709551615g' is out of range" + body},
        {"mode", "8", "", "'8' is not an octal number; expected 0000 to 0777"},
        {"mode", "1777", "", "'1777' is out of range; expected 0000 to 0777"},
        {"mode", "77777777777777", "", "'77777777777777' is out of range; expected 0000 to 0777"},
        {"listing", "1", "", "'1' is neither; expected yes or no"},
        {"listing", "Yes", "", "'Yes' is neither; expected yes or no"},
        {"colour", "blue", "", "'blue' is not a choice; expected red or green"},
        {"cache", "1k", "",
         "'1k' is out of range; expected 'off' or 4k or more (bytes, or units: k, m, g)"},
        {"root", "", "", "no value; expected a path"},
        {"owner", "a:b", "", "'a:b' can't be a name; expected the name of a user"},
        {"team", "a b", "", "'a b' can't be a name; expected the name of a group"},
    };
    for (const Row& row : rows) check_row(web_key(row.key), row);
}

BOOST_AUTO_TEST_CASE(a_log_goes_where_its_key_allows) {
    const std::vector<Row> rows = {
        {"error_log", "auto", "auto", ""},
        {"error_log", "stderr", "stderr", ""},
        {"error_log", "syslog", "syslog", ""},
        {"error_log", "./stderr", "/base/stderr", ""},
        {"error_log", "log/error", "/base/log/error", ""},
        {"error_log", "off", "",
         "'off' is not possible here; expected auto, stderr, syslog or a file's path"},
        {"output_log", "off", "off", ""},
        {"output_log", "syslog", "",
         "'syslog' is not possible here; expected auto, stderr, off or a file's path"},
        {"access_log", "off", "off", ""},
        {"access_log", "auto", "", "'auto' is not possible here; expected off or a file's path"},
    };
    for (const Row& row : rows) check_row(*find_key(global_keys(), row.key), row);
}

BOOST_AUTO_TEST_CASE(a_long_value_is_shortened_between_characters) {
    const std::string long_text = std::string(59, 'a') + "\xc3\xa4\xc3\xa4";
    const CheckedText checked = web_key("listing").check(long_text, "/");
    BOOST_TEST(checked.problem ==
               "'" + std::string(59, 'a') + "...' is neither; expected yes or no");
}

BOOST_AUTO_TEST_CASE(an_options_struct_receives_its_settings) {
    const ServiceSpec web = web_service();
    std::vector<Setting> settings;
    for (const KeySpec& key : web.keys) settings.push_back({key.name, key.default_texts, {}});
    settings[0].values = {"/srv/www"};
    settings[12].values = {"64k"};
    const auto options = read_options<WebOptions>(web.keys, settings);
    BOOST_TEST(options.root == "/srv/www");
    BOOST_TEST(options.index_file.empty());
    BOOST_TEST((options.idle_timeout == 60s));
    BOOST_TEST((options.max_age == 0s));
    BOOST_TEST(options.max_connections == 1000u);
    BOOST_TEST(options.max_body.value == 1u << 20);
    BOOST_TEST(options.mode.bits == 0644u);
    BOOST_TEST(!options.listing);
    BOOST_TEST((options.colour == Colour::green));
    BOOST_TEST(options.title == "a | b");
    BOOST_TEST((options.add_header == std::vector<std::string>{"X: 1", "Y: 2"}));
    BOOST_TEST((options.cache == ByteCount{65536}));
    BOOST_TEST(options.owner.value == "");
}

BOOST_AUTO_TEST_CASE(an_empty_list_replaces_a_default_list) {
    WebOptions options;
    options.add_header = {"X: 1"};
    web_key("add_header").store({}, &options);
    BOOST_TEST(options.add_header.empty());
    BOOST_TEST(web_key("add_header").render(&options).empty());
}

BOOST_AUTO_TEST_CASE(every_declaration_is_sound) {
    BOOST_TEST(to_string(declaration_faults(services())) == "");
    for (const std::vector<KeySpec>* keys : {&global_keys(), &listener_keys()})
        for (const KeySpec& key : *keys) {
            BOOST_TEST_CONTEXT(key.name) {
                BOOST_TEST(!key.doc.empty());
                BOOST_TEST(!key.expected.empty());
                for (const std::string& text : key.default_texts)
                    BOOST_TEST(key.check(text, "/").problem == "");
            }
        }
}

BOOST_AUTO_TEST_CASE(a_service_that_declares_nonsense_is_reported_at_once) {
    struct Other {
        bool flag = false;
    };
    ServiceSpec bad{.name = "Bad!", .doc = "", .keys = {}};
    bad.keys = {
        Key<bool>{.name = "listing", .field = &WebOptions::listing},
        Key<bool>{.name = "listing", .field = &WebOptions::listing},
        Key<std::string>{.name = "address", .field = &WebOptions::title},
        Key<std::string>{.name = "Title", .field = &WebOptions::title},
        Key<unsigned>{.name = "number", .field = &WebOptions::max_connections, .def = 3, .max = 2},
        Key<bool>{.name = "flag", .field = &Other::flag},
        Key<bool>{.name = "loose"},
    };
    const std::string hint = "\n    this is an error in the program itself\n";
    const std::string of_bad = "service 'Bad!': key ";
    BOOST_TEST(to_string(declaration_faults({bad, web_service(), web_service()})) ==
               "service 'Bad!' is not a name of [a-z0-9_-]{1,32}" + hint +  //
                   of_bad + "'listing' is declared twice" + hint +          //
                   of_bad + "'address' is a key that every listener has" + hint + of_bad +
                   "'Title' is not a name of [a-z0-9_]+" + hint + of_bad +
                   "'number' has a wrong default: '3' is out of range; expected 0 to 2" + hint +  //
                   of_bad + "'flag' is bound to another struct than the first" + hint + of_bad +
                   "'loose' is bound to no field" + hint + "service 'web' is declared twice" +
                   hint);
}

BOOST_AUTO_TEST_CASE(a_service_that_declares_nonsense_metrics_is_reported_at_once) {
    ServiceSpec good{.name = "good"};
    for (std::size_t i = 0; i < most_metrics; ++i)
        good.metrics.push_back({"m" + std::to_string(i), Metric::Kind::gauge, "A number."});
    BOOST_TEST(to_string(declaration_faults({good})) == "");
    good.metrics.push_back({"one_more", Metric::Kind::counter, "Too many."});
    ServiceSpec bad{.name = "bad"};
    for (const char* const name : {"Hits", "", "9lives", "hits_total", "hits", "hits"})
        bad.metrics.push_back({name, Metric::Kind::counter, "A number."});
    const std::string hint = "\n    this is an error in the program itself\n";
    BOOST_TEST(to_string(declaration_faults({good, bad})) ==
               "service 'good': declares 17 metrics, and 16 is the most" + hint +
                   "service 'bad': metric 'Hits' is not a name of [a-z][a-z0-9_]{0,39}" + hint +
                   "service 'bad': metric '' is not a name of [a-z][a-z0-9_]{0,39}" + hint +
                   "service 'bad': metric '9lives' is not a name of [a-z][a-z0-9_]{0,39}" + hint +
                   "service 'bad': metric 'hits_total' ends in _total, which is added where it is "
                   "shown" +
                   hint + "service 'bad': metric 'hits' is declared twice" + hint);
}

BOOST_AUTO_TEST_SUITE_END()
