#include "bench/load/tally.hpp"

#include <boost/test/unit_test.hpp>

using namespace preforkd::bench;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(bench_tally)

BOOST_AUTO_TEST_CASE(each_event_falls_into_its_slice_of_time) {
    const TimePoint start = Clock::now();
    Tally tally;
    tally.restart(start, 100ms);
    tally.add_answer(start + 99ms, 1ms);
    tally.add_answer(start + 100ms, 5ms);
    tally.add_answer(start + 120ms, 3ms);
    tally.add_failure(start + 450ms, Failure::reset, Carrier::reused_connection);
    BOOST_REQUIRE(tally.slices().size() == 5U);
    BOOST_TEST(tally.slices()[0].answered == 1U);
    BOOST_TEST(tally.slices()[1].answered == 2U);
    BOOST_TEST((tally.slices()[1].slowest == 5ms));
    BOOST_TEST(tally.slices()[2].answered == 0U);
    BOOST_TEST(tally.slices()[4].failed[std::size_t(Failure::reset)] == 1U);
}

BOOST_AUTO_TEST_CASE(failures_are_told_apart_by_kind_and_by_what_carried_them) {
    Tally tally;
    const TimePoint now = Clock::now();
    tally.restart(now, 1s);
    tally.add_failure(now, Failure::reset, Carrier::reused_connection);
    tally.add_failure(now, Failure::reset, Carrier::fresh_connection);
    tally.add_failure(now, Failure::timeout, Carrier::fresh_connection);
    BOOST_TEST(tally.failed.get() == 3U);
    BOOST_TEST(tally.failures(Failure::reset) == 2U);
    BOOST_TEST(tally.failures(Failure::reset, Carrier::reused_connection) == 1U);
    BOOST_TEST(tally.failures(Failure::timeout) == 1U);
    BOOST_TEST(tally.failures(Failure::refused) == 0U);
}

BOOST_AUTO_TEST_CASE(merging_adds_up_slice_by_slice_and_keeps_the_slowest) {
    const TimePoint start = Clock::now();
    Tally one, two;
    one.restart(start, 100ms);
    two.restart(start, 100ms);
    one.add_answer(start + 10ms, 2ms);
    two.add_answer(start + 20ms, 7ms);
    two.add_failure(start + 20ms, Failure::truncated, Carrier::fresh_connection);
    two.add_answer(start + 210ms, 1ms);
    two.bytes_received = 5;
    one.merge(two);
    BOOST_TEST(one.answered.get() == 3U);
    BOOST_TEST(one.failed.get() == 1U);
    BOOST_TEST(one.bytes_received == 5U);
    BOOST_REQUIRE(one.slices().size() == 3U);
    BOOST_TEST(one.slices()[0].answered == 2U);
    BOOST_TEST((one.slices()[0].slowest == 7ms));
    BOOST_TEST(one.slices()[0].failed[std::size_t(Failure::truncated)] == 1U);
    BOOST_TEST(one.latency.count() == 3U);
}

BOOST_AUTO_TEST_CASE(a_restart_forgets_what_the_warm_up_counted) {
    const TimePoint start = Clock::now();
    Tally tally;
    tally.restart(start, 100ms);
    tally.add_answer(start + 950ms, 2ms);
    tally.add_failure(start, Failure::end_of_stream, Carrier::fresh_connection);
    tally.restart(start + 1s, 100ms);
    BOOST_TEST(tally.answered.get() == 0U);
    BOOST_TEST(tally.failed.get() == 0U);
    BOOST_TEST(tally.slices().size() == 1U);
    BOOST_TEST(tally.latency.count() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
