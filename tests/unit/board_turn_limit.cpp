#include "worker/services/board_turn_limit.hpp"

#include <poll.h>
#include <signal.h>

#include <boost/test/unit_test.hpp>

#include "board_fixture.hpp"

// A process that is stopped in its turn ends itself; one that lives is left alone.

using namespace board_test;

BOOST_AUTO_TEST_SUITE(board_turn_limit)

BOOST_AUTO_TEST_CASE(a_process_that_is_stopped_in_its_turn_is_killed) {
    Child child([] {
        TurnLimit limit(milliseconds(50));
        limit.begin();
        ::raise(SIGSTOP);
        return 0;
    });
    BOOST_TEST(child.exit_code() == 1000 + SIGKILL);
}

BOOST_AUTO_TEST_CASE(a_turn_that_has_ended_has_no_limit) {
    Child child([] {
        TurnLimit limit(milliseconds(20));
        limit.begin();
        limit.end();
        limit.extend();
        ::poll(nullptr, 0, 100);  // nothing happens, which is the point
        return 0;
    });
    BOOST_TEST(child.exit_code() == 0);
}

BOOST_AUTO_TEST_CASE(a_turn_may_be_extended_for_ever) {
    Child child([] {
        TurnLimit limit(seconds(2));
        limit.begin();
        for (int i = 0; i < 100; ++i) {
            limit.extend();
            ::poll(nullptr, 0, 25);
        }
        return 0;
    });
    BOOST_TEST(child.exit_code() == 0);
}

BOOST_AUTO_TEST_CASE(a_pulse_extends_the_turn_of_a_process_that_lives) {
    Child child([] {
        TurnLimit limit(seconds(1));
        const Pulse pulse(limit);
        limit.begin();
        ::poll(nullptr, 0, 2500);  // the limit would end it
        return 0;
    });
    BOOST_TEST(child.exit_code() == 0);
}

BOOST_AUTO_TEST_CASE(a_pulse_does_not_help_a_process_that_is_stopped) {
    Child child([] {
        TurnLimit limit(milliseconds(500));
        const Pulse pulse(limit);
        limit.begin();
        ::raise(SIGSTOP);
        return 0;
    });
    BOOST_TEST(child.exit_code() == 1000 + SIGKILL);
}

BOOST_AUTO_TEST_CASE(a_limit_that_was_lifted_ends_nothing) {
    Child child([] {
        TurnLimit limit(milliseconds(20));
        limit.begin();
        limit.lift();
        limit.begin();
        ::poll(nullptr, 0, 100);
        return 0;
    });
    BOOST_TEST(child.exit_code() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
