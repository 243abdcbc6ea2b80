#include "worker/services/http_conditional.hpp"

#include <boost/test/unit_test.hpp>
#include <ostream>
#include <string>

using namespace preforkd::worker::http;

namespace preforkd::worker::http {
std::ostream& operator<<(std::ostream& out, Condition condition) {
    constexpr const char* names[] = {"holds", "not_modified", "failed"};
    return out << names[static_cast<int>(condition)];
}
}  // namespace preforkd::worker::http

namespace {

const std::string modified = "Sun, 06 Nov 1994 08:49:37 GMT";
const std::string before = "Sun, 06 Nov 1994 08:49:36 GMT";
const std::string after = "Sun, 06 Nov 1994 08:49:38 GMT";
constexpr Validators current{"\"tag\"", 784111777};
constexpr UnixTime now = 1700000000;

struct Request {
    explicit Request(const std::string& fields)
        : bytes("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n") {
        const HeadResult result = parse_head(bytes, Limits{}, head);
        BOOST_REQUIRE((result.kind == HeadResult::Kind::complete));
    }
    Request(const Request&) = delete;

    std::string bytes;
    RequestHead head;
};

Condition evaluate(const std::string& fields) {
    const Request request(fields);
    return evaluate_conditions(request.head, current, now);
}

bool range_is_current(const std::string& fields, UnixTime at = now) {
    const Request request(fields);
    return is_range_current(request.head, current, at);
}

std::string line(const char* name, const std::string& value) {
    return std::string(name) + ": " + value + "\r\n";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_conditional)

BOOST_AUTO_TEST_CASE(entity_tags_are_compared_strongly_or_weakly) {
    const auto strong = [](const char* list) { return matches_etag(list, "\"a,b\"", false); };
    const auto weak = [](const char* list) { return matches_etag(list, "\"a,b\"", true); };
    for (const char* list : {"\"a,b\"", "*", " * ", "\"x\", \"a,b\"", "\"x\",,\"a,b\",", ",\"a,b\"",
                             "W/\"x\" , \"a,b\"", "\"\",\"a,b\"", "\"a,b\", junk"}) {
        BOOST_TEST(strong(list), list);
        BOOST_TEST(weak(list), list);
    }
    for (const char* list : {"", " ", "\"a\"", "a,b", "\"a,b", "W/", "x, \"a,b\"", "\"x\" \"a,b\"",
                             "**", "\"A,B\"", "w/\"a,b\"", "\"x\"\"a,b\""}) {
        BOOST_TEST(!strong(list), list);
        BOOST_TEST(!weak(list), list);
    }
    BOOST_TEST(!strong("W/\"a,b\""));
    BOOST_TEST(weak("W/\"a,b\""));
}

BOOST_AUTO_TEST_CASE(no_condition_holds) {
    BOOST_TEST(evaluate("") == Condition::holds);
}

BOOST_AUTO_TEST_CASE(if_match_wants_the_current_tag) {
    BOOST_TEST(evaluate(line("If-Match", "\"tag\"")) == Condition::holds);
    BOOST_TEST(evaluate(line("If-Match", "*")) == Condition::holds);
    BOOST_TEST(evaluate(line("If-Match", "\"x\", \"tag\"")) == Condition::holds);
    BOOST_TEST(evaluate(line("If-Match", "\"x\"")) == Condition::failed);
    BOOST_TEST(evaluate(line("If-Match", "W/\"tag\"")) == Condition::failed);
    BOOST_TEST(evaluate(line("If-Match", "")) == Condition::failed);
    BOOST_TEST(evaluate(line("If-Match", "\"x\"") + line("If-Match", "\"tag\"")) ==
               Condition::holds);
}

BOOST_AUTO_TEST_CASE(if_unmodified_since_counts_without_if_match_alone) {
    BOOST_TEST(evaluate(line("If-Unmodified-Since", modified)) == Condition::holds);
    BOOST_TEST(evaluate(line("If-Unmodified-Since", after)) == Condition::holds);
    BOOST_TEST(evaluate(line("If-Unmodified-Since", before)) == Condition::failed);
    BOOST_TEST(evaluate(line("If-Unmodified-Since", "yesterday")) == Condition::holds);
    BOOST_TEST(evaluate(line("If-Unmodified-Since", before) + line("If-Match", "\"tag\"")) ==
               Condition::holds);
    BOOST_TEST(evaluate(line("If-Unmodified-Since", after) + line("If-Match", "\"x\"")) ==
               Condition::failed);
}

BOOST_AUTO_TEST_CASE(if_none_match_wants_another_tag) {
    BOOST_TEST(evaluate(line("If-None-Match", "\"tag\"")) == Condition::not_modified);
    BOOST_TEST(evaluate(line("If-None-Match", "W/\"tag\"")) == Condition::not_modified);
    BOOST_TEST(evaluate(line("If-None-Match", "*")) == Condition::not_modified);
    BOOST_TEST(evaluate(line("If-None-Match", "\"x\"")) == Condition::holds);
    BOOST_TEST(evaluate(line("If-None-Match", "")) == Condition::holds);
    BOOST_TEST(evaluate(line("If-None-Match", "\"x\"") + line("If-None-Match", "\"tag\"")) ==
               Condition::not_modified);
}

BOOST_AUTO_TEST_CASE(if_modified_since_counts_without_if_none_match_alone) {
    BOOST_TEST(evaluate(line("If-Modified-Since", modified)) == Condition::not_modified);
    BOOST_TEST(evaluate(line("If-Modified-Since", after)) == Condition::not_modified);
    BOOST_TEST(evaluate(line("If-Modified-Since", before)) == Condition::holds);
    BOOST_TEST(evaluate(line("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")) ==
               Condition::not_modified);
    BOOST_TEST(evaluate(line("If-Modified-Since", "Sun Nov  6 08:49:37 1994")) ==
               Condition::not_modified);
    BOOST_TEST(evaluate(line("If-Modified-Since", "0")) == Condition::holds);
    BOOST_TEST(evaluate(line("If-Modified-Since", modified) + line("If-None-Match", "\"x\"")) ==
               Condition::holds);
    BOOST_TEST(evaluate(line("If-Modified-Since", before) + line("If-None-Match", "\"tag\"")) ==
               Condition::not_modified);
}

BOOST_AUTO_TEST_CASE(a_failed_precondition_comes_before_not_modified) {
    BOOST_TEST(evaluate(line("If-Match", "\"x\"") + line("If-None-Match", "\"tag\"")) ==
               Condition::failed);
    BOOST_TEST(evaluate(line("If-Unmodified-Since", before) +
                        line("If-Modified-Since", modified)) == Condition::failed);
    BOOST_TEST(evaluate(line("If-Match", "\"tag\"") + line("If-None-Match", "\"tag\"")) ==
               Condition::not_modified);
}

BOOST_AUTO_TEST_CASE(what_has_no_validators_is_only_known_to_be_there) {
    const auto evaluate_listing = [](const std::string& fields) {
        const Request request(fields);
        return evaluate_conditions(request.head, Validators{}, now);
    };
    BOOST_TEST(evaluate_listing(line("If-Match", "*")) == Condition::holds);
    BOOST_TEST(evaluate_listing(line("If-Match", "\"tag\"")) == Condition::failed);
    BOOST_TEST(evaluate_listing(line("If-Match", "\"\"")) == Condition::failed);
    BOOST_TEST(evaluate_listing(line("If-Match", "")) == Condition::failed);
    BOOST_TEST(evaluate_listing(line("If-None-Match", "*")) == Condition::not_modified);
    BOOST_TEST(evaluate_listing(line("If-None-Match", "\"tag\"")) == Condition::holds);
    BOOST_TEST(evaluate_listing(line("If-Unmodified-Since", before)) == Condition::holds);
    BOOST_TEST(evaluate_listing(line("If-Modified-Since", after)) == Condition::holds);
}

BOOST_AUTO_TEST_CASE(if_range_wants_a_strong_and_current_validator) {
    BOOST_TEST(range_is_current(""));
    BOOST_TEST(range_is_current(line("If-Range", "\"tag\"")));
    BOOST_TEST(!range_is_current(line("If-Range", "W/\"tag\"")));
    BOOST_TEST(!range_is_current(line("If-Range", "\"x\"")));
    BOOST_TEST(!range_is_current(line("If-Range", "\"x\", \"tag\"")));
    BOOST_TEST(!range_is_current(line("If-Range", "*")));
    BOOST_TEST(!range_is_current(line("If-Range", "")));
    BOOST_TEST(range_is_current(line("If-Range", modified)));
    BOOST_TEST(!range_is_current(line("If-Range", before)));
    BOOST_TEST(!range_is_current(line("If-Range", after)));
    BOOST_TEST(!range_is_current(line("If-Range", modified), *current.last_modified));
    BOOST_TEST(range_is_current(line("If-Range", modified), *current.last_modified + 1));
}

BOOST_AUTO_TEST_SUITE_END()
