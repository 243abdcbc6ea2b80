#include <boost/test/unit_test.hpp>

#include "tests/unit/supervisor_driver.hpp"

using namespace preforkd;
using namespace preforkd::master;
using namespace preforkd::master::test;

namespace {

/// One slot whose worker 100 is recycled and whose successor 101 is starting.
Driver recycling() {
    Driver driver = running_with(pool_of(2), {100, 110});
    driver.tell(RecycleDue{Pid{100}});
    driver.spawned({101});
    return driver;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(supervisor_recycling)

BOOST_AUTO_TEST_CASE(a_recycled_worker_drains_when_its_successor_is_ready_and_not_before) {
    Driver driver = running_with(pool_of(1), {100});
    BOOST_TEST(driver.tell(RecycleDue{Pid{100}}) == "spawn 0/0 gen 1");
    driver.spawned({101});
    BOOST_TEST(driver.worker(100) == "0/0 gen 1 retiring");
    BOOST_TEST(driver.worker(101) == "0/0 gen 1 starting");
    BOOST_TEST(driver.ready({101}) == "drain 100");
    BOOST_TEST(driver.exited({100}) == "");
    BOOST_TEST(driver.worker(101) == "0/0 gen 1 serving");
}

BOOST_AUTO_TEST_CASE(one_slot_of_a_pool_is_recycled_at_a_time) {
    Driver driver = running_with({.pools = {{PoolId{0}, 3}, {PoolId{1}, 1}}}, {100, 101, 102, 200});
    BOOST_TEST(driver.tell(RecycleDue{Pid{100}}) == "spawn 0/0 gen 1");
    driver.spawned({103});
    BOOST_TEST(driver.tell(RecycleDue{Pid{101}}) == "");
    BOOST_TEST(driver.tell(RecycleDue{Pid{102}}) == "");
    BOOST_TEST(driver.tell(RecycleDue{Pid{200}}) == "spawn 1/0 gen 1");
    BOOST_TEST(driver.ready({103}) == "drain 100, spawn 0/1 gen 1");
    driver.spawned({104});
    BOOST_TEST(driver.ready({104}) == "drain 101, spawn 0/2 gen 1");
}

BOOST_AUTO_TEST_CASE(being_due_twice_recycles_once) {
    Driver driver = recycling();
    BOOST_TEST(driver.tell(RecycleDue{Pid{100}}) == "");
    BOOST_TEST(driver.ready({101}) == "drain 100");
    BOOST_TEST(driver.tell(RecycleDue{Pid{100}}) == "");
}

BOOST_AUTO_TEST_CASE(a_worker_that_is_not_ready_is_never_recycled) {
    Driver driver = recycling();
    BOOST_TEST(driver.tell(RecycleDue{Pid{101}}) == "");
    BOOST_TEST(driver.ready({101}) == "drain 100");
}

BOOST_AUTO_TEST_CASE(a_predecessor_serves_on_while_its_successors_fail) {
    Driver driver = recycling();
    BOOST_TEST(driver.exited({101}) == "");
    BOOST_TEST(driver.wait() == 100);
    BOOST_TEST(driver.after(100ms, TimePassed{}) == "spawn 0/0 gen 1");
    BOOST_TEST(driver.tell(SpawnFailed{slot(0), Generation{1}}) == "");
    BOOST_TEST(driver.worker(100) == "0/0 gen 1 retiring");
    driver.after(200ms, TimePassed{});
    driver.spawned({102});
    BOOST_TEST(driver.ready({102}) == "drain 100");
}

BOOST_AUTO_TEST_CASE(a_predecessor_that_dies_first_leaves_its_slot_to_the_successor) {
    Driver driver = recycling();
    BOOST_TEST(driver.exited({100}) == "");
    BOOST_TEST(driver.ready({101}) == "");
    BOOST_TEST(driver.worker(101) == "0/0 gen 1 serving");
}

BOOST_AUTO_TEST_CASE(a_predecessor_that_misbehaves_is_killed_and_its_successor_goes_on) {
    Driver driver = recycling();
    BOOST_TEST(driver.tell(WorkerMisbehaved{Pid{100}}) ==
               "kill -9 100 (it sent an invalid message)");
    BOOST_TEST(driver.ready({101}) == "");
}

BOOST_AUTO_TEST_CASE(a_due_worker_that_dies_before_its_turn_is_just_respawned) {
    Driver driver = recycling();
    driver.tell(RecycleDue{Pid{110}});
    BOOST_TEST(driver.exited({110}) == "spawn 0/1 gen 1");
    driver.spawned({111});
    driver.ready({111});
    BOOST_TEST(driver.ready({101}) == "drain 100");
}

BOOST_AUTO_TEST_CASE(workers_that_are_due_right_after_ready_are_replaced_ten_times_a_second) {
    Driver driver = recycling();
    driver.ready({101});
    BOOST_TEST(driver.after(30ms, RecycleDue{Pid{101}}) == "");
    BOOST_TEST(driver.worker(101) == "0/0 gen 1 retiring");
    BOOST_TEST(driver.wait() == 70);
    BOOST_TEST(driver.after(70ms, TimePassed{}) == "spawn 0/0 gen 1");
    driver.spawned({102});
    BOOST_TEST(driver.ready({102}) == "drain 101");
}

// A due worker that died so early that its slot had to rest left the wish behind: the empty slot
// was "recycled", and its predecessor was a process of number 0.
BOOST_AUTO_TEST_CASE(a_due_worker_that_dies_right_after_ready_leaves_no_wish_behind) {
    Driver driver = recycling();
    driver.exited({110});
    driver.spawned({111});
    driver.ready({111});
    driver.tell(RecycleDue{Pid{111}});
    driver.exited({111});
    BOOST_TEST(driver.ready({101}) == "drain 100");
    BOOST_TEST(driver.after(100ms, TimePassed{}) == "spawn 0/1 gen 1");
}

BOOST_AUTO_TEST_CASE(a_worker_due_during_a_reload_is_recycled_after_it_if_it_is_still_in_service) {
    Driver driver = reloading_with(pool_of(1), {100}, {101});
    BOOST_TEST(driver.tell(RecycleDue{Pid{100}}) == "");
    BOOST_TEST(driver.exited({101}) ==
               "abandon 2 (0/0 it ended before all the others were ready), spawn 0/0 gen 1");

    Driver committed = reloading_with(pool_of(1), {100}, {101});
    committed.tell(RecycleDue{Pid{100}});
    BOOST_TEST(committed.ready({101}) == "commit 2, drain 100");
}

BOOST_AUTO_TEST_CASE(a_recycling_in_progress_goes_on_during_a_reload) {
    Driver driver = recycling();
    driver.tell(HupReceived{});
    BOOST_TEST(driver.ready({101}) == "drain 100");
}

BOOST_AUTO_TEST_CASE(a_reload_that_commits_drains_the_predecessor_and_drops_the_successor) {
    Driver driver = recycling();
    driver.tell(HupReceived{});
    driver.tell(ConfigAccepted{pool_of(1)});
    driver.spawned({102});
    BOOST_TEST(driver.ready({102}) ==
               "commit 2, kill -9 101 (it is no longer wanted), drain 110, drain 100");
}

BOOST_AUTO_TEST_CASE(a_stop_drains_the_predecessor_and_drops_the_successor) {
    Driver driver = recycling();
    BOOST_TEST(driver.tell(TermReceived{}) ==
               "stopping, kill -9 101 (the master was told to stop), drain 110, drain 100");
    BOOST_TEST(driver.exited({100, 101, 110}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(ttou_of_a_recycled_slot_drains_the_predecessor_and_drops_the_successor) {
    Driver driver = running_with(pool_of(2), {100, 110});
    driver.tell(RecycleDue{Pid{110}});
    driver.spawned({111});
    BOOST_TEST(driver.tell(TtouReceived{}) == "kill -9 111 (it is no longer wanted), drain 110");
}

BOOST_AUTO_TEST_CASE(a_worker_that_drains_already_is_not_recycled) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(TtouReceived{});
    BOOST_TEST(driver.tell(RecycleDue{Pid{101}}) == "");
}

BOOST_AUTO_TEST_SUITE_END()
