#include <boost/test/unit_test.hpp>
#include <csignal>

#include "tests/unit/supervisor_driver.hpp"

using namespace preforkd;
using namespace preforkd::master;
using namespace preforkd::master::test;

namespace {

/// Two workers, 100 and 101, of which 100 has just become stale; hang_timeout is 10 s.
Driver with_a_stale_worker() {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(WorkerStale{Pid{100}});
    return driver;
}

bool is_stale(const Driver& driver, pid_t pid) {
    for (const Worker& worker : driver.supervisor.workers())
        if (worker.pid == Pid{pid}) return worker.stale_since.has_value();
    return false;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(supervisor_hangs)

BOOST_AUTO_TEST_CASE(a_stale_worker_is_aborted_then_killed_and_its_slot_goes_on_at_once) {
    Driver driver = with_a_stale_worker();
    BOOST_TEST(driver.wait() == 8000);
    BOOST_TEST(driver.after(8s, TimePassed{}) == "kill -6 100 (it hung)");
    BOOST_TEST(driver.wait() == 2000);
    BOOST_TEST(driver.after(2s, TimePassed{}) == "kill -9 100 (it hung), spawn 0/0 gen 1");
    BOOST_TEST(driver.wait() == -1);
}

BOOST_AUTO_TEST_CASE(a_worker_that_dies_of_its_abort_is_respawned_at_once) {
    Driver driver = with_a_stale_worker();
    driver.after(8s, TimePassed{});
    BOOST_TEST(driver.exited({100}) == "spawn 0/0 gen 1");
    BOOST_TEST(driver.wait() == -1);
}

BOOST_AUTO_TEST_CASE(a_worker_that_recovers_is_left_alone) {
    Driver driver = with_a_stale_worker();
    BOOST_TEST(is_stale(driver, 100));
    BOOST_TEST(driver.after(7s, WorkerRecovered{Pid{100}}) == "");
    BOOST_TEST(!is_stale(driver, 100));
    BOOST_TEST(driver.wait() == -1);
    BOOST_TEST(driver.after(1h, TimePassed{}) == "");
}

BOOST_AUTO_TEST_CASE(being_stale_again_does_not_begin_the_count_anew) {
    Driver driver = with_a_stale_worker();
    driver.after(5s, WorkerStale{Pid{100}});
    BOOST_TEST(driver.wait() == 3000);
}

BOOST_AUTO_TEST_CASE(an_aborted_worker_can_not_recover) {
    Driver driver = with_a_stale_worker();
    driver.after(8s, TimePassed{});
    driver.tell(WorkerRecovered{Pid{100}});
    BOOST_TEST(driver.wait() == 2000);
}

BOOST_AUTO_TEST_CASE(a_master_that_slept_long_aborts_and_kills_in_one_go) {
    Driver driver = with_a_stale_worker();
    BOOST_TEST(driver.after(1h, TimePassed{}) ==
               "kill -6 100 (it hung), kill -9 100 (it hung), spawn 0/0 gen 1");
}

BOOST_AUTO_TEST_CASE(a_draining_worker_that_hangs_does_not_get_its_whole_drain_timeout) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(TtouReceived{});
    BOOST_TEST(driver.worker(101) == "0/1 gen 1 draining");
    driver.tell(WorkerStale{Pid{101}});
    BOOST_TEST(driver.after(8s, TimePassed{}) == "kill -6 101 (it hung)");
    BOOST_TEST(driver.after(2s, TimePassed{}) == "kill -9 101 (it hung)");
}

BOOST_AUTO_TEST_CASE(a_starting_worker_is_nobody_s_hang) {
    Driver driver;
    driver.tell(Start{pool_of(1)});
    driver.spawned({100});
    driver.tell(WorkerStale{Pid{100}});
    BOOST_TEST(!is_stale(driver, 100));
}

BOOST_AUTO_TEST_CASE(a_respawned_slot_begins_without_its_predecessor_s_hang) {
    Driver driver = with_a_stale_worker();
    driver.exited({100});
    driver.spawned({102});
    driver.ready({102});
    BOOST_TEST(!is_stale(driver, 102));
    BOOST_TEST(driver.wait() == -1);
}

BOOST_AUTO_TEST_SUITE_END()
