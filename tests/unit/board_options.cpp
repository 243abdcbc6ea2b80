#include "worker/services/board_options.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <utility>

using namespace preforkd::worker::board;
using namespace std::chrono_literals;
using Mode = SyncPolicy::Mode;

namespace {

/// What is wrong with `text`; `policy` is what it means.
std::string problem_of(const std::string& text, SyncPolicy& policy) {
    return parse_value(text, policy);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(board_options)

BOOST_AUTO_TEST_CASE(how_messages_are_made_durable_has_three_names) {
    SyncPolicy policy;
    BOOST_TEST(problem_of("always", policy) == "");
    BOOST_TEST((policy.mode == Mode::always));
    BOOST_TEST(problem_of("off", policy) == "");
    BOOST_TEST((policy.mode == Mode::off));
    BOOST_TEST(problem_of("interval 100ms", policy) == "");
    BOOST_TEST((policy.mode == Mode::interval && policy.interval == 100ms));
    BOOST_TEST(problem_of("interval  1m", policy) == "");
    BOOST_TEST((policy.interval == 60s));
}

BOOST_AUTO_TEST_CASE(what_is_shown_is_what_is_read) {
    for (const char* const text : {"always", "off", "interval 250ms", "interval 1m"}) {
        SyncPolicy policy;
        BOOST_TEST(problem_of(text, policy) == "");
        BOOST_TEST(render_value(policy) == text);
    }
}

BOOST_AUTO_TEST_CASE(other_policies_are_refused) {
    const std::pair<const char*, const char*> refused[] = {{"never", "is not a choice"},
                                                           {"", "is not a choice"},
                                                           {"interval 0ms", "is out of range"},
                                                           {"interval 2m", "is out of range"}};
    for (const auto& [text, problem] : refused) {
        SyncPolicy policy;
        BOOST_TEST(problem_of(text, policy) == problem, text);
    }
    SyncPolicy policy;
    BOOST_TEST(problem_of("interval soon", policy) != "");
}

BOOST_AUTO_TEST_SUITE_END()
