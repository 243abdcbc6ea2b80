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
               "kill -9 101 (its clients had not finished within drain_timeout)");
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
               "kill -9 100 (its clients had not finished within drain_timeout)");
    BOOST_TEST(driver.exited({100}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(a_stopping_master_neither_reloads_nor_respawns) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(TermReceived{});
    BOOST_TEST(driver.tell(HupReceived{}) == "");
    BOOST_TEST(driver.exited({100}) == "");
    BOOST_TEST(driver.after(1h, TimePassed{}) ==
               "kill -9 101 (its clients had not finished within drain_timeout)");
}

namespace {

/// Serves for ten seconds more when it is told to stop.
Driver leaving_with(const std::vector<pid_t>& pids) {
    Policy policy = pool_of(static_cast<unsigned>(pids.size()));
    policy.shutdown_delay = 10s;
    Driver driver = running_with(policy, pids);
    BOOST_TEST(driver.tell(TermReceived{}) == "stopping");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "leaving");
    return driver;
}

}  // namespace

BOOST_AUTO_TEST_CASE(with_a_shutdown_delay_the_drain_comes_later) {
    Driver driver = leaving_with({100, 101});
    BOOST_TEST(driver.wait() == 10'000);
    BOOST_TEST(driver.after(9'999ms, TimePassed{}) == "");
    BOOST_TEST(driver.after(1ms, TimePassed{}) == "drain 100, drain 101");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "stopping");
    BOOST_TEST(driver.exited({100, 101}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(a_second_term_skips_the_rest_of_the_delay_and_a_third_kills) {
    Driver driver = leaving_with({100});
    BOOST_TEST(driver.after(1s, TermReceived{}) == "drain 100");
    BOOST_TEST(driver.wait() == 33'000);
    BOOST_TEST(driver.tell(TermReceived{}) == "kill -9 100 (the master was told to stop)");
    BOOST_TEST(driver.exited({100}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(a_leaving_master_keeps_its_slots_filled_and_changes_nothing) {
    Driver driver = leaving_with({100, 101});
    for (const Event& event : std::vector<Event>{HupReceived{}, TtinReceived{}, TtouReceived{}})
        BOOST_TEST(driver.tell(event) == "");
    BOOST_TEST(driver.exited({101}) == "spawn 0/1 gen 1");
    driver.spawned({102});
    driver.ready({102});
    BOOST_TEST(driver.after(10s, TimePassed{}) == "drain 100, drain 102");
}

BOOST_AUTO_TEST_CASE(quit_ends_a_leaving_master_at_once) {
    Driver driver = leaving_with({100});
    BOOST_TEST(driver.tell(QuitReceived{}) == "kill -9 100 (the master was told to stop)");
    BOOST_TEST(driver.wait() == -1);
    BOOST_TEST(driver.exited({100}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(a_delayed_stop_abandons_a_reload_at_once) {
    Policy policy = pool_of(1);
    policy.shutdown_delay = 10s;
    Driver driver = reloading_with(policy, {100}, {200});
    BOOST_TEST(driver.tell(TermReceived{}) ==
               "abandon 2 (the master was told to stop), "
               "kill -9 200 (it is no longer wanted), stopping");
    BOOST_TEST(driver.exited({200}) == "");
    BOOST_TEST(driver.after(10s, TimePassed{}) == "drain 100");
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
