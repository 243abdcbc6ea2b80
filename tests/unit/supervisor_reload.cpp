#include <boost/test/unit_test.hpp>

#include "tests/unit/supervisor_driver.hpp"

using namespace preforkd;
using namespace preforkd::master;
using namespace preforkd::master::test;

BOOST_AUTO_TEST_SUITE(supervisor_reload)

// The way it goes.

BOOST_AUTO_TEST_CASE(hup_loads_the_configuration_and_touches_no_worker) {
    Driver driver = running_with(pool_of(2), {100, 101});
    BOOST_TEST(driver.tell(HupReceived{}) == "load 2");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "loading");
    BOOST_TEST(driver.supervisor.reloading());
}

BOOST_AUTO_TEST_CASE(an_accepted_configuration_gets_its_workers_beside_the_old_ones) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(HupReceived{});
    BOOST_TEST(driver.tell(ConfigAccepted{pool_of(2)}) == "spawn 0/0 gen 2, spawn 0/1 gen 2");
    driver.spawned({102, 103});
    BOOST_TEST(driver.worker(100) == "0/0 gen 1 serving");
    BOOST_TEST(driver.worker(102) == "0/0 gen 2 starting");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "reloading");
    BOOST_TEST(driver.supervisor.generation().value == 1U);
}

BOOST_AUTO_TEST_CASE(reload_drains_old_workers_only_after_every_new_worker_is_ready) {
    Driver driver = reloading_with(pool_of(2), {100, 101}, {102, 103});
    BOOST_TEST(driver.ready({103}) == "");
    BOOST_TEST(driver.ready({102}) == "commit 2, drain 100, drain 101");
    BOOST_TEST(driver.supervisor.generation().value == 2U);
    BOOST_TEST(!driver.supervisor.reloading());
    BOOST_TEST(driver.exited({100, 101}) == "");
    BOOST_TEST(driver.worker(102) == "0/0 gen 2 serving");
}

BOOST_AUTO_TEST_CASE(pools_may_vanish_appear_and_change_their_size) {
    Driver driver = running_with({.pools = {{PoolId{0}, 1}, {PoolId{1}, 2}}}, {100, 101, 102});
    driver.tell(HupReceived{});
    BOOST_TEST(driver.tell(ConfigAccepted{{.pools = {{PoolId{1}, 1}, {PoolId{2}, 2}}}}) ==
               "spawn 1/0 gen 2, spawn 2/0 gen 2, spawn 2/1 gen 2");
    driver.spawned({103, 104, 105});
    BOOST_TEST(driver.ready({103, 104, 105}) == "commit 2, drain 100, drain 101, drain 102");
    BOOST_TEST(driver.tell(TtinReceived{}) == "spawn 1/1 gen 2");
}

BOOST_AUTO_TEST_CASE(a_reload_sets_the_workers_that_the_file_says_whatever_ttin_added) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(TtinReceived{});
    driver.spawned({101});
    driver.ready({101});
    driver.tell(HupReceived{});
    BOOST_TEST(driver.tell(ConfigAccepted{pool_of(1)}) == "spawn 0/0 gen 2");
    driver.spawned({102});
    BOOST_TEST(driver.ready({102}) == "commit 2, drain 100, drain 101");
}

BOOST_AUTO_TEST_CASE(each_generation_lives_by_its_own_timeouts) {
    Driver driver =
        running_with({.pools = {{PoolId{0}, 1}}, .ready_timeout = 5s, .drain_timeout = 7s}, {100});
    driver.tell(HupReceived{});
    driver.tell(
        ConfigAccepted{{.pools = {{PoolId{0}, 1}}, .ready_timeout = 50s, .drain_timeout = 70s}});
    driver.spawned({101});
    BOOST_TEST(driver.wait() == 50'000);
    driver.ready({101});
    BOOST_TEST(driver.wait() == 10'000);
    driver.exited({100});
    driver.tell(TermReceived{});
    BOOST_TEST(driver.wait() == 73'000);
}

BOOST_AUTO_TEST_CASE(answers_to_no_load_are_ignored) {
    Driver driver = running_with(pool_of(1), {100});
    BOOST_TEST(driver.tell(ConfigAccepted{pool_of(3)}) == "");
    BOOST_TEST(driver.tell(ConfigRefused{}) == "");
    Driver reloading = reloading_with(pool_of(1), {100}, {101});
    BOOST_TEST(reloading.tell(ConfigAccepted{pool_of(3)}) == "");
    BOOST_TEST(reloading.tell(ConfigRefused{}) == "");
}

// HUPs that come at other times.

BOOST_AUTO_TEST_CASE(hups_during_a_reload_make_exactly_one_more) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(HupReceived{});
    BOOST_TEST(driver.tell(HupReceived{}) == "");
    driver.tell(ConfigAccepted{pool_of(1)});
    driver.spawned({101});
    BOOST_TEST(driver.tell(HupReceived{}) == "");
    BOOST_TEST(driver.tell(HupReceived{}) == "");
    BOOST_TEST(driver.ready({101}) == "commit 2, drain 100, load 3");
    BOOST_TEST(driver.tell(ConfigRefused{}) == "abandon 3 (its configuration was refused)");
    BOOST_TEST(!driver.supervisor.reloading());
}

BOOST_AUTO_TEST_CASE(a_hup_during_a_reload_that_fails_tries_again) {
    Driver driver = reloading_with(pool_of(1), {100}, {101});
    driver.tell(HupReceived{});
    BOOST_TEST(driver.exited({101}) ==
               "abandon 2 (0/0 it ended before all the others were ready), load 3");
}

BOOST_AUTO_TEST_CASE(a_hup_during_the_start_is_served_after_it) {
    Driver driver;
    driver.tell(HupReceived{});
    driver.tell(Start{pool_of(1)});
    driver.spawned({100});
    BOOST_TEST(driver.tell(HupReceived{}) == "");
    BOOST_TEST(driver.ready({100}) == "started, load 2");
}

// The ways it fails.

BOOST_AUTO_TEST_CASE(a_refused_configuration_takes_no_number) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(HupReceived{});
    BOOST_TEST(driver.tell(ConfigRefused{}) == "abandon 2 (its configuration was refused)");
    BOOST_TEST(driver.supervisor.generation().value == 1U);
    BOOST_TEST(driver.tell(HupReceived{}) == "load 2");
}

BOOST_AUTO_TEST_CASE(an_abandoned_generation_keeps_its_number) {
    Driver driver = reloading_with(pool_of(1), {100}, {101});
    driver.exited({101});
    BOOST_TEST(driver.supervisor.generation().value == 1U);
    BOOST_TEST(driver.tell(HupReceived{}) == "load 3");
    BOOST_TEST(driver.tell(ConfigAccepted{pool_of(1)}) == "spawn 0/0 gen 3");
}

BOOST_AUTO_TEST_CASE(a_new_worker_that_fails_cancels_the_reload_and_the_old_never_notice) {
    const std::string others = ", kill -9 103 (it is no longer wanted), drain 102";
    const std::vector<std::pair<Event, std::string>> failures{
        {WorkerExited{Pid{104}}, "abandon 2 (0/2 it ended before all the others were ready)"},
        {WorkerFailed{Pid{104}}, "kill -9 104 (it failed), abandon 2 (0/2 it failed)"},
        {WorkerMisbehaved{Pid{104}},
         "kill -9 104 (it sent an invalid message), abandon 2 (0/2 it sent an invalid message)"},
    };
    for (const auto& [failure, expected] : failures) {
        Driver driver = running_with(pool_of(2), {100, 101});
        driver.tell(HupReceived{});
        driver.tell(ConfigAccepted{pool_of(3)});
        driver.spawned({103, 102, 104});
        driver.ready({102});
        BOOST_TEST(driver.tell(failure) == expected + others);
        BOOST_TEST(driver.worker(100) == "0/0 gen 1 serving");
        BOOST_TEST(driver.worker(101) == "0/1 gen 1 serving");
        BOOST_TEST(driver.exited({102, 103, 104}) == "");
        BOOST_TEST(driver.supervisor.workers().size() == 2U);
    }
}

BOOST_AUTO_TEST_CASE(a_new_worker_that_dies_after_ready_cancels_the_reload_too) {
    Driver driver = reloading_with(pool_of(2), {100, 101}, {102, 103});
    driver.ready({102});
    BOOST_TEST(driver.exited({102}) ==
               "abandon 2 (0/0 it ended before all the others were ready), "
               "kill -9 103 (it is no longer wanted)");
}

BOOST_AUTO_TEST_CASE(new_workers_that_are_not_ready_in_time_cancel_the_reload_once) {
    Driver driver = reloading_with(pool_of(2), {100, 101}, {102, 103});
    BOOST_TEST(driver.after(10s, TimePassed{}) ==
               "kill -9 102 (it was not ready within ready_timeout), "
               "abandon 2 (0/0 it was not ready within ready_timeout), "
               "kill -9 103 (it is no longer wanted)");
}

BOOST_AUTO_TEST_CASE(
    a_failing_fork_cancels_the_reload_and_what_was_ordered_is_killed_when_it_comes) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(HupReceived{});
    driver.tell(ConfigAccepted{pool_of(3)});
    BOOST_TEST(driver.tell(SpawnFailed{slot(0), Generation{2}}) ==
               "abandon 2 (0/0 its process could not be made)");
    BOOST_TEST(driver.tell(WorkerSpawned{slot(1), Generation{2}, Pid{101}}) ==
               "kill -9 101 (it is no longer wanted)");
    BOOST_TEST(driver.tell(SpawnFailed{slot(2), Generation{2}}) == "");
    BOOST_TEST(driver.exited({101}) == "");
    BOOST_TEST(driver.tell(HupReceived{}) == "load 3");
}

BOOST_AUTO_TEST_CASE(
    the_ready_workers_of_an_abandoned_generation_are_killed_if_they_drain_too_long) {
    Driver driver = reloading_with(pool_of(2), {100, 101}, {102, 103});
    driver.ready({102});
    driver.exited({103});
    BOOST_TEST(driver.after(33s, TimePassed{}) ==
               "kill -9 102 (its clients had not finished within drain_timeout)");
}

BOOST_AUTO_TEST_CASE(an_old_worker_that_dies_during_a_reload_is_respawned_in_its_own_generation) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(HupReceived{});
    BOOST_TEST(driver.exited({100}) == "spawn 0/0 gen 1");
    driver.spawned({101});
    driver.ready({101});
    driver.tell(ConfigAccepted{pool_of(1)});
    driver.spawned({102});
    BOOST_TEST(driver.after(1s, WorkerExited{Pid{101}}) == "spawn 0/0 gen 1");
    driver.spawned({103});
    BOOST_TEST(driver.ready({102}) == "commit 2, kill -9 103 (it is no longer wanted)");
}

BOOST_AUTO_TEST_CASE(an_old_slot_that_backs_off_is_forgotten_when_the_new_generation_takes_over) {
    Driver driver = reloading_with(pool_of(1), {100}, {101});
    driver.exited({100});
    driver.spawned({102});
    driver.exited({102});
    BOOST_TEST(driver.ready({101}) == "commit 2");
    BOOST_TEST(driver.wait() == -1);
}

// A stop during a reload.

BOOST_AUTO_TEST_CASE(term_while_the_configuration_loads_abandons_the_reload_and_drains) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(HupReceived{});
    BOOST_TEST(driver.tell(TermReceived{}) ==
               "abandon 2 (the master was told to stop), stopping, drain 100");
    BOOST_TEST(driver.tell(ConfigAccepted{pool_of(1)}) == "");
    BOOST_TEST(driver.exited({100}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(term_during_a_reload_drains_every_ready_worker_and_kills_the_others) {
    Driver driver = reloading_with(pool_of(2), {100, 101}, {102, 103});
    driver.ready({102});
    BOOST_TEST(driver.tell(TermReceived{}) ==
               "abandon 2 (the master was told to stop), drain 102, "
               "kill -9 103 (it is no longer wanted), stopping, drain 100, drain 101");
    BOOST_TEST(driver.exited({100, 101, 102, 103}) == "exit 0");
}

BOOST_AUTO_TEST_CASE(quit_during_a_reload_kills_both_generations) {
    Driver driver = reloading_with(pool_of(1), {100}, {101});
    BOOST_TEST(driver.tell(QuitReceived{}) ==
               "abandon 2 (the master was told to stop), kill -9 101 (it is no longer wanted), "
               "stopping, kill -9 100 (the master was told to stop)");
    BOOST_TEST(driver.exited({100, 101}) == "exit 0");
}

BOOST_AUTO_TEST_SUITE_END()
