#include <boost/test/unit_test.hpp>

#include "tests/unit/supervisor_driver.hpp"

using namespace preforkd;
using namespace preforkd::master;
using namespace preforkd::master::test;

BOOST_AUTO_TEST_SUITE(supervisor_stop)

BOOST_AUTO_TEST_CASE(a_draining_worker_is_killed_when_it_is_late_by_the_margin) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(TtouReceived{});
    BOOST_TEST(driver.wait() == 33'000);
    BOOST_TEST(driver.after(32'999ms, TimePassed{}) == "");
    BOOST_TEST(driver.after(1ms, TimePassed{}) ==
               "kill -9 101 (it did not finish draining in time)");
    BOOST_TEST(driver.wait() == -1);
    BOOST_TEST(driver.exited({101}) == "");
    BOOST_TEST(driver.worker(101) == "");
}

BOOST_AUTO_TEST_CASE(a_draining_worker_that_misbehaves_is_killed_and_not_replaced) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(TtouReceived{});
    BOOST_TEST(driver.tell(WorkerReady{Pid{101}}) == "kill -9 101 (it sent an invalid message)");
    BOOST_TEST(driver.exited({101}) == "");
}

BOOST_AUTO_TEST_CASE(term_drains_every_worker_and_exits_0_when_the_last_is_gone) {
    Driver driver = running_with(pool_of(2), {100, 101});
    BOOST_TEST(driver.tell(TermReceived{}) == "stopping, drain 100, drain 101");
    BOOST_TEST(driver.exited({101}) == "");
    BOOST_TEST(driver.exited({100}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(term_kills_those_not_ready_forgets_empty_slots_and_drains_no_one_twice) {
    Driver driver = running_with(pool_of(5), {100, 101, 102, 103, 104});
    driver.tell(TtouReceived{});  // 104 drains
    driver.exited({103});
    driver.spawned({105});  // starting
    driver.exited({102});   // spawning
    driver.exited({101});
    driver.spawned({106});
    driver.exited({106});  // resting
    BOOST_TEST(driver.tell(TermReceived{}) ==
               "stopping, drain 100, kill -9 105 (the master was told to stop)");
    BOOST_TEST(driver.tell(WorkerSpawned{slot(2), Generation{1}, Pid{107}}) ==
               "kill -9 107 (it is no longer wanted)");
    BOOST_TEST(driver.exited({100, 104, 105}) == "");
    BOOST_TEST(driver.exited({107}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(a_second_term_kills_whoever_is_left) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(TermReceived{});
    driver.exited({100});
    BOOST_TEST(driver.tell(TermReceived{}) == "kill -9 101 (the master was told to stop)");
    BOOST_TEST(driver.tell(TermReceived{}) == "");
    BOOST_TEST(driver.exited({101}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(quit_kills_all_at_once_and_exits_0) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(TtouReceived{});
    BOOST_TEST(driver.tell(QuitReceived{}) ==
               "stopping, kill -9 100 (the master was told to stop), "
               "kill -9 101 (the master was told to stop)");
    BOOST_TEST(driver.tell(QuitReceived{}) == "");
    BOOST_TEST(driver.exited({100, 101}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(quit_after_term_kills_the_draining) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(TermReceived{});
    BOOST_TEST(driver.tell(QuitReceived{}) == "kill -9 100 (the master was told to stop)");
    BOOST_TEST(driver.exited({100}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(a_stopping_master_kills_who_drains_too_long) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(TermReceived{});
    BOOST_TEST(driver.after(33s, TimePassed{}) ==
               "kill -9 100 (it did not finish draining in time)");
    BOOST_TEST(driver.exited({100}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(a_stopping_master_neither_reloads_nor_respawns) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(TermReceived{});
    BOOST_TEST(driver.tell(HupReceived{}) == "");
    BOOST_TEST(driver.exited({100}) == "");
    BOOST_TEST(driver.after(1h, TimePassed{}) ==
               "kill -9 101 (it did not finish draining in time)");
}

BOOST_AUTO_TEST_CASE(after_exit_every_event_is_ignored) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(TermReceived{});
    driver.exited({100});
    for (const Event& event : std::vector<Event>{
             Start{pool_of(1)}, HupReceived{}, TermReceived{}, QuitReceived{}, TtinReceived{},
             TtouReceived{}, TimePassed{}, ConfigAccepted{pool_of(1)}, ConfigRefused{},
             WorkerExited{Pid{100}}, WorkerSpawned{slot(0), Generation{1}, Pid{101}}})
        BOOST_TEST(driver.tell(event) == "");
}

BOOST_AUTO_TEST_SUITE_END()
