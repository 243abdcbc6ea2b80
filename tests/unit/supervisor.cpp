#include "master/supervisor.hpp"

#include <boost/test/unit_test.hpp>
#include <set>

#include "tests/unit/supervisor_driver.hpp"

// The start, the life of a slot, TTIN and TTOU. Reload, recycling and stop have files of their own.

using namespace preforkd;
using namespace preforkd::master;
using namespace preforkd::master::test;

namespace {

/// Two workers asked for at the start: 100 is READY, 101 is not yet.
Driver starting() {
    Driver driver;
    driver.tell(Start{pool_of(2)});
    driver.spawned({100, 101});
    driver.ready({100});
    return driver;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(supervisor)

// The start.

BOOST_AUTO_TEST_CASE(start_spawns_a_worker_for_each_slot_of_each_pool) {
    Driver driver;
    const Policy policy{.pools = {{PoolId{4}, 2}, {PoolId{7}, 1}}};
    BOOST_TEST(driver.tell(Start{policy}) == "spawn 4/0 gen 1, spawn 4/1 gen 1, spawn 7/0 gen 1");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "starting");
    BOOST_TEST(driver.supervisor.generation().value == 0U);
}

BOOST_AUTO_TEST_CASE(the_master_is_started_when_the_last_first_worker_is_ready) {
    Driver driver = starting();
    BOOST_TEST(text(driver.last) == "");
    BOOST_TEST(driver.ready({101}) == "started");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "running");
    BOOST_TEST(driver.supervisor.generation().value == 1U);
    BOOST_TEST(driver.worker(101) == "0/1 gen 1 serving");
}

BOOST_AUTO_TEST_CASE(a_second_start_is_ignored) {
    Driver driver = running_with(pool_of(1), {100});
    BOOST_TEST(driver.tell(Start{pool_of(5)}) == "");
}

BOOST_AUTO_TEST_CASE(a_first_worker_that_exits_before_ready_fails_the_start) {
    Driver driver = starting();
    BOOST_TEST(driver.exited({101}) ==
               "start failed (0/1 it ended before all the others were ready), "
               "kill -9 100 (it is no longer wanted)");
    BOOST_TEST(driver.exited({100}) == "exit 1");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "exited");
}

BOOST_AUTO_TEST_CASE(a_first_worker_that_exits_after_ready_but_before_the_others_fails_the_start) {
    Driver driver = starting();
    BOOST_TEST(driver.exited({100}) ==
               "start failed (0/0 it ended before all the others were ready), "
               "kill -9 101 (it is no longer wanted)");
}

BOOST_AUTO_TEST_CASE(a_first_worker_that_says_it_cannot_start_is_killed_and_fails_the_start) {
    Driver driver = starting();
    BOOST_TEST(driver.tell(WorkerFailed{Pid{101}}) ==
               "kill -9 101 (it failed), start failed (0/1 it failed), "
               "kill -9 100 (it is no longer wanted)");
    BOOST_TEST(driver.exited({101}) == "");
    BOOST_TEST(driver.exited({100}) == "exit 1");
}

BOOST_AUTO_TEST_CASE(a_first_worker_that_misbehaves_fails_the_start) {
    Driver driver = starting();
    BOOST_TEST(driver.tell(WorkerMisbehaved{Pid{101}}) ==
               "kill -9 101 (it sent an invalid message), "
               "start failed (0/1 it sent an invalid message), "
               "kill -9 100 (it is no longer wanted)");
}

BOOST_AUTO_TEST_CASE(a_first_worker_that_is_not_ready_in_time_fails_the_start) {
    Driver driver = starting();
    BOOST_TEST(driver.wait() == 10'000);
    BOOST_TEST(driver.after(9'999ms, TimePassed{}) == "");
    BOOST_TEST(driver.after(1ms, TimePassed{}) ==
               "kill -9 101 (it was not ready within ready_timeout), "
               "start failed (0/1 it was not ready within ready_timeout), "
               "kill -9 100 (it is no longer wanted)");
    BOOST_TEST(driver.wait() == -1);
}

BOOST_AUTO_TEST_CASE(a_first_worker_that_cannot_be_spawned_fails_the_start) {
    Driver driver;
    driver.tell(Start{pool_of(1)});
    BOOST_TEST(driver.tell(SpawnFailed{slot(0), Generation{1}}) ==
               "start failed (0/0 its process could not be made), exit 1");
}

BOOST_AUTO_TEST_CASE(a_failed_start_exits_only_when_its_unanswered_spawns_are_gone_too) {
    Driver driver;
    driver.tell(Start{pool_of(3)});
    BOOST_TEST(driver.tell(SpawnFailed{slot(0), Generation{1}}) ==
               "start failed (0/0 its process could not be made)");
    BOOST_TEST(driver.tell(WorkerSpawned{slot(1), Generation{1}, Pid{101}}) ==
               "kill -9 101 (it is no longer wanted)");
    BOOST_TEST(driver.exited({101}) == "");
    BOOST_TEST(driver.tell(SpawnFailed{slot(2), Generation{1}}) == "exit 1");
}

BOOST_AUTO_TEST_CASE(term_during_the_start_kills_all_and_exits_1) {
    Driver driver = starting();
    BOOST_TEST(driver.tell(TermReceived{}) ==
               "start failed (the master was told to stop), "
               "kill -9 100 (the master was told to stop), "
               "kill -9 101 (the master was told to stop)");
    BOOST_TEST(driver.tell(TermReceived{}) == "");
    BOOST_TEST(driver.exited({100, 101}) == "exit 1");
}

BOOST_AUTO_TEST_CASE(quit_during_the_start_does_as_term) {
    Driver driver = starting();
    const std::string term = starting().tell(TermReceived{});
    BOOST_TEST(driver.tell(QuitReceived{}) == term);
    BOOST_TEST(driver.exited({100, 101}) == "exit 1");
}

BOOST_AUTO_TEST_CASE(a_stop_before_the_start_exits_at_once) {
    const std::vector<Event> stops{TermReceived{}, QuitReceived{}};
    for (const Event& stop : stops) {
        Driver driver;
        BOOST_TEST(driver.tell(stop) == "start failed (the master was told to stop), exit 1");
        BOOST_TEST(driver.tell(Start{pool_of(1)}) == "");
    }
}

// The life of a slot.

BOOST_AUTO_TEST_CASE(idle_workers_give_the_master_nothing_to_wait_for) {
    const Driver driver = running_with(pool_of(2), {100, 101});
    BOOST_TEST(driver.wait() == -1);
}

BOOST_AUTO_TEST_CASE(a_worker_that_dies_after_ready_is_respawned_at_once_in_its_slot) {
    Driver driver = running_with(pool_of(2), {100, 101});
    BOOST_TEST(driver.exited({101}) == "spawn 0/1 gen 1");
    driver.spawned({102});
    BOOST_TEST(driver.worker(102) == "0/1 gen 1 starting");
    BOOST_TEST(driver.ready({102}) == "");
    BOOST_TEST(driver.worker(102) == "0/1 gen 1 serving");
}

BOOST_AUTO_TEST_CASE(a_worker_that_keeps_dying_right_after_ready_is_spawned_ten_times_a_second) {
    Driver driver = running_with(pool_of(1), {100});
    driver.exited({100});
    driver.spawned({101});
    driver.ready({101});
    BOOST_TEST(driver.after(40ms, WorkerExited{Pid{101}}) == "");
    BOOST_TEST(driver.wait() == 60);
    BOOST_TEST(driver.after(60ms, TimePassed{}) == "spawn 0/0 gen 1");
}

BOOST_AUTO_TEST_CASE(respawn_delay_doubles_from_100_ms_to_8_s) {
    const std::vector<milliseconds> expected{100ms,   200ms,   400ms,   800ms,  1'600ms,
                                             3'200ms, 6'400ms, 8'000ms, 8'000ms};
    for (unsigned failures = 1; failures <= expected.size(); ++failures)
        BOOST_TEST(respawn_delay(failures).count() == expected[failures - 1].count());
    BOOST_TEST(respawn_delay(~0U).count() == 8'000);
}

BOOST_AUTO_TEST_CASE(
    a_worker_that_dies_before_ready_is_respawned_ever_more_slowly_until_one_is_ready) {
    Driver driver = running_with(pool_of(1), {100});
    driver.exited({100});
    driver.spawned({101});
    BOOST_TEST(driver.exited({101}) == "");
    BOOST_TEST(driver.wait() == 100);
    BOOST_TEST(driver.after(99ms, TimePassed{}) == "");
    BOOST_TEST(driver.after(1ms, TimePassed{}) == "spawn 0/0 gen 1");
    driver.spawned({102});
    driver.exited({102});
    BOOST_TEST(driver.wait() == 200);
    driver.after(200ms, TimePassed{});
    driver.spawned({103});
    driver.ready({103});
    driver.after(1h, WorkerExited{Pid{103}});
    driver.spawned({104});
    driver.exited({104});
    BOOST_TEST(driver.wait() == 100);
}

BOOST_AUTO_TEST_CASE(slots_that_die_together_are_made_again_one_at_a_time) {
    Driver driver = running_with(pool_of(3), {100, 101, 102});
    for (const pid_t pid : {100, 101, 102}) {
        driver.exited({pid});
        driver.spawned({pid + 3});
    }
    driver.exited({103, 104, 105});
    BOOST_TEST(driver.after(100ms, TimePassed{}) == "spawn 0/0 gen 1");
    BOOST_TEST(driver.after(99ms, TimePassed{}) == "");
    BOOST_TEST(driver.after(1ms, TimePassed{}) == "spawn 0/1 gen 1");
    BOOST_TEST(driver.after(100ms, TimePassed{}) == "spawn 0/2 gen 1");
}

BOOST_AUTO_TEST_CASE(a_slot_whose_spawns_fail_is_never_given_up) {
    Driver driver = running_with(pool_of(1), {100});
    driver.exited({100});
    for (unsigned failures = 1; failures <= 100; ++failures) {
        BOOST_TEST(driver.tell(SpawnFailed{slot(0), Generation{1}}) == "");
        const milliseconds delay = respawn_delay(failures);
        BOOST_TEST(driver.wait() == delay.count());
        BOOST_TEST(driver.after(delay, TimePassed{}) == "spawn 0/0 gen 1");
    }
    driver.spawned({101});
    BOOST_TEST(driver.worker(101) == "0/0 gen 1 starting");
}

BOOST_AUTO_TEST_CASE(
    a_worker_not_ready_in_time_is_killed_and_its_slot_does_not_wait_for_the_reaping) {
    Driver driver = running_with(pool_of(1), {100});
    driver.exited({100});
    driver.spawned({101});
    BOOST_TEST(driver.after(10s, TimePassed{}) ==
               "kill -9 101 (it was not ready within ready_timeout)");
    BOOST_TEST(driver.worker(101) == "0/0 gen 1 killed");
    BOOST_TEST(driver.wait() == 100);
    BOOST_TEST(driver.after(100ms, TimePassed{}) == "spawn 0/0 gen 1");
    driver.spawned({102});
    BOOST_TEST(driver.exited({101}) == "");
    BOOST_TEST(driver.worker(102) == "0/0 gen 1 starting");
}

BOOST_AUTO_TEST_CASE(a_worker_that_says_it_cannot_start_counts_as_dead_before_ready) {
    Driver driver = running_with(pool_of(1), {100});
    driver.exited({100});
    driver.spawned({101});
    BOOST_TEST(driver.tell(WorkerFailed{Pid{101}}) == "kill -9 101 (it failed)");
    BOOST_TEST(driver.wait() == 100);
    BOOST_TEST(driver.exited({101}) == "");
    BOOST_TEST(driver.wait() == 100);
}

BOOST_AUTO_TEST_CASE(a_serving_worker_that_sends_nonsense_is_killed_once_and_its_slot_respawned) {
    const std::vector<Event> nonsense{WorkerMisbehaved{Pid{100}}, WorkerReady{Pid{100}}};
    for (const Event& event : nonsense) {
        Driver driver = running_with(pool_of(1), {100});
        BOOST_TEST(driver.tell(event) ==
                   "kill -9 100 (it sent an invalid message), spawn 0/0 gen 1");
        BOOST_TEST(driver.tell(event) == "");
        BOOST_TEST(driver.exited({100}) == "");
    }
}

BOOST_AUTO_TEST_CASE(a_serving_worker_that_fails_or_cannot_be_reached_is_killed_and_replaced) {
    const std::pair<Event, std::string> ends[] = {
        {WorkerFailed{Pid{100}}, "it failed"},
        {WorkerUnreachable{Pid{100}}, "it could not be sent what it needs"}};
    for (const auto& [event, why] : ends) {
        Driver driver = running_with(pool_of(1), {100});
        BOOST_TEST(driver.tell(event) == "kill -9 100 (" + why + "), spawn 0/0 gen 1");
        BOOST_TEST(driver.tell(event) == "");
        BOOST_TEST(driver.exited({100}) == "");
    }
}

BOOST_AUTO_TEST_CASE(a_worker_that_cannot_be_sent_what_it_needs_counts_as_dead_before_ready) {
    Driver driver = running_with(pool_of(1), {100});
    driver.exited({100});
    driver.spawned({101});
    BOOST_TEST(driver.tell(WorkerUnreachable{Pid{101}}) ==
               "kill -9 101 (it could not be sent what it needs)");
    BOOST_TEST(driver.wait() == 100);
}

BOOST_AUTO_TEST_CASE(pids_that_are_not_known_are_ignored) {
    Driver driver = running_with(pool_of(1), {100});
    for (const pid_t stranger : {0, 1, 4711}) {
        const Pid pid{stranger};
        for (const Event& event :
             std::vector<Event>{WorkerReady{pid}, WorkerFailed{pid}, WorkerUnreachable{pid},
                                WorkerMisbehaved{pid}, WorkerExited{pid}, RecycleDue{pid}})
            BOOST_TEST(driver.tell(event) == "");
    }
}

BOOST_AUTO_TEST_CASE(answers_to_no_spawn_are_ignored) {
    Driver driver = running_with(pool_of(1), {100});
    BOOST_TEST(driver.tell(WorkerSpawned{slot(0), Generation{1}, Pid{101}}) == "");
    BOOST_TEST(driver.worker(101) == "");
    BOOST_TEST(driver.tell(SpawnFailed{slot(0), Generation{1}}) == "");
    BOOST_TEST(driver.worker(100) == "0/0 gen 1 serving");
}

BOOST_AUTO_TEST_CASE(time_that_passes_with_nothing_due_does_nothing) {
    Driver driver = starting();
    BOOST_TEST(driver.after(1s, TimePassed{}) == "");
    driver.ready({101});
    BOOST_TEST(driver.after(100h, TimePassed{}) == "");
}

BOOST_AUTO_TEST_CASE(a_ready_that_comes_late_but_before_the_clock_is_heard) {
    Driver driver = starting();
    BOOST_TEST(driver.after(11s, WorkerReady{Pid{101}}) == "started");
    BOOST_TEST(driver.tell(TimePassed{}) == "");
}

// TTIN and TTOU.

BOOST_AUTO_TEST_CASE(ttin_adds_a_slot_to_the_first_pool_and_it_is_respawned_like_the_others) {
    Driver driver = running_with({.pools = {{PoolId{3}, 1}, {PoolId{1}, 1}}}, {100, 101});
    BOOST_TEST(driver.tell(TtinReceived{}) == "spawn 3/1 gen 1");
    driver.spawned({102});
    driver.ready({102});
    BOOST_TEST(driver.after(1s, WorkerExited{Pid{102}}) == "spawn 3/1 gen 1");
}

BOOST_AUTO_TEST_CASE(a_worker_added_by_ttin_that_fails_backs_off_like_the_others) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(TtinReceived{});
    BOOST_TEST(driver.tell(SpawnFailed{slot(1), Generation{1}}) == "");
    BOOST_TEST(driver.wait() == 100);
}

BOOST_AUTO_TEST_CASE(ttin_stops_at_the_most_workers_that_a_pool_may_have) {
    std::vector<pid_t> pids;
    for (pid_t pid = 100; pid < 1123; ++pid) pids.push_back(pid);
    Driver driver = running_with(pool_of(max_pool_workers - 1), pids);
    BOOST_TEST(driver.tell(TtinReceived{}) == "spawn 0/1023 gen 1");
    BOOST_TEST(driver.tell(TtinReceived{}) == "");
}

BOOST_AUTO_TEST_CASE(ttou_drains_the_highest_slot_and_leaves_the_last_one) {
    Driver driver = running_with(pool_of(3), {100, 101, 102});
    BOOST_TEST(driver.tell(TtouReceived{}) == "drain 102");
    BOOST_TEST(driver.tell(TtouReceived{}) == "drain 101");
    BOOST_TEST(driver.tell(TtouReceived{}) == "");
    BOOST_TEST(driver.exited({101, 102}) == "");
    BOOST_TEST(driver.supervisor.workers().size() == 1U);
}

BOOST_AUTO_TEST_CASE(ttou_kills_a_worker_that_is_still_starting) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(TtinReceived{});
    driver.spawned({101});
    BOOST_TEST(driver.tell(TtouReceived{}) == "kill -9 101 (it is no longer wanted)");
    BOOST_TEST(driver.exited({101}) == "");
}

BOOST_AUTO_TEST_CASE(ttou_forgets_a_slot_that_backs_off) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(TtinReceived{});
    driver.tell(SpawnFailed{slot(1), Generation{1}});
    BOOST_TEST(driver.tell(TtouReceived{}) == "");
    BOOST_TEST(driver.wait() == -1);
    BOOST_TEST(driver.supervisor.workers().size() == 1U);
}

BOOST_AUTO_TEST_CASE(ttou_of_an_unanswered_spawn_kills_what_comes_and_ttin_may_order_another) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(TtinReceived{});
    BOOST_TEST(driver.tell(TtouReceived{}) == "");
    BOOST_TEST(driver.tell(TtinReceived{}) == "spawn 0/1 gen 1");
    BOOST_TEST(driver.tell(WorkerSpawned{slot(1), Generation{1}, Pid{101}}) ==
               "kill -9 101 (it is no longer wanted)");
    BOOST_TEST(driver.tell(WorkerSpawned{slot(1), Generation{1}, Pid{102}}) == "");
    BOOST_TEST(driver.worker(102) == "0/1 gen 1 starting");
}

BOOST_AUTO_TEST_CASE(ttin_and_ttou_are_ignored_unless_the_master_is_at_rest_in_one_generation) {
    for (const Event& event : std::vector<Event>{TtinReceived{}, TtouReceived{}}) {
        Driver created;
        BOOST_TEST(created.tell(event) == "");
        Driver started = starting();
        BOOST_TEST(started.tell(event) == "");
        Driver loading = running_with(pool_of(2), {100, 101});
        loading.tell(HupReceived{});
        BOOST_TEST(loading.tell(event) == "");
        Driver reloading = reloading_with(pool_of(2), {100, 101}, {102, 103});
        BOOST_TEST(reloading.tell(event) == "");
        Driver stopping = running_with(pool_of(2), {100, 101});
        stopping.tell(TermReceived{});
        BOOST_TEST(stopping.tell(event) == "");
    }
}

BOOST_AUTO_TEST_CASE(ttin_and_ttou_without_any_pool_are_ignored) {
    Driver driver;
    BOOST_TEST(driver.tell(Start{}) == "started");
    BOOST_TEST(driver.tell(TtinReceived{}) == "");
    BOOST_TEST(driver.tell(TtouReceived{}) == "");
}

// What people read.

BOOST_AUTO_TEST_CASE(every_reason_state_and_phase_has_a_text_of_its_own) {
    const auto texts = [](auto last) {
        std::set<std::string_view> different;
        for (int value = 0; value <= static_cast<int>(last); ++value)
            different.insert(to_string(static_cast<decltype(last)>(value)));
        return different.contains("?") ? 0 : different.size();
    };
    BOOST_TEST(texts(Reason::not_executed) == 14U);
    BOOST_TEST(texts(WorkerState::gone) == 9U);
    BOOST_TEST(texts(Phase::exited) == 10U);
}

BOOST_AUTO_TEST_SUITE_END()
