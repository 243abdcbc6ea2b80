#include <boost/test/unit_test.hpp>

#include "tests/unit/supervisor_driver.hpp"

using namespace preforkd;
using namespace preforkd::master;
using namespace preforkd::master::test;

namespace {

/// The next program, which knows nothing but the snapshot.
Driver successor_of(const Driver& driver) {
    return {.supervisor = Supervisor(driver.supervisor.snapshot()), .now = driver.now, .last = {}};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(supervisor_upgrade)

// The way it goes.

BOOST_AUTO_TEST_CASE(usr2_proves_the_program_and_touches_no_worker) {
    Driver driver = running_with(pool_of(2), {100, 101});
    BOOST_TEST(driver.tell(Usr2Received{}) == "prove");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "proving a new program");
    BOOST_TEST(driver.worker(100) == "0/0 gen 1 serving");
}

BOOST_AUTO_TEST_CASE(a_proven_program_is_executed_and_ends_the_upgrade_as_a_hup_does) {
    Driver before = running_with(pool_of(2), {100, 101});
    before.tell(Usr2Received{});
    BOOST_TEST(before.tell(ImageProven{}) == "execute");
    Driver after = successor_of(before);
    BOOST_TEST(after.tell(TookOver{}) == "load 2");
    BOOST_TEST(after.tell(ConfigAccepted{pool_of(2)}) == "spawn 0/0 gen 2, spawn 0/1 gen 2");
    after.spawned({102, 103});
    BOOST_TEST(after.ready({102, 103}) == "commit 2, drain 100, drain 101");
    BOOST_TEST(after.exited({100, 101}) == "");
    BOOST_TEST(to_string(after.supervisor.phase()) == "running");
}

BOOST_AUTO_TEST_CASE(new_workers_that_fail_leave_the_old_ones_to_the_new_program) {
    Driver after = successor_of(executing_with(pool_of(1), {100}));
    after.tell(TookOver{});
    after.tell(ConfigAccepted{pool_of(1)});
    after.spawned({101});
    BOOST_TEST(after.tell(WorkerFailed{Pid{101}}) ==
               "kill -9 101 (it failed), abandon 2 (0/0 it failed)");
    BOOST_TEST(after.worker(100) == "0/0 gen 1 serving");
}

// What the next program knows.

BOOST_AUTO_TEST_CASE(every_state_of_a_worker_goes_on_in_the_next_program) {
    Driver driver = running_with(pool_of(4), {100, 101, 102, 103});
    driver.tell(TtouReceived{});  // 103 drains
    driver.tell(RecycleDue{Pid{102}});
    driver.spawned({104});  // 104 starts beside 102
    driver.exited({101});
    driver.spawned({105});
    driver.exited({105});  // 0/1 rests after its first death
    driver.tell(Usr2Received{});
    driver.tell(ImageProven{});
    Driver after = successor_of(driver);
    for (const auto& [pid, state] :
         std::initializer_list<std::pair<pid_t, const char*>>{{100, "0/0 gen 1 serving"},
                                                              {102, "0/2 gen 1 retiring"},
                                                              {103, "0/3 gen 1 draining"},
                                                              {104, "0/2 gen 1 starting"},
                                                              {0, "0/1 gen 1 resting"}})
        BOOST_TEST(after.worker(pid) == state);
    BOOST_TEST(after.wait() == 100);
    BOOST_TEST(after.tell(NotExecuted{}) == "abandon upgrade (it could not be executed)");
    BOOST_TEST(after.after(100ms, TimePassed{}) == "spawn 0/1 gen 1");
    after.spawned({106});
    BOOST_TEST(after.tell(WorkerExited{Pid{106}}) == "");
    BOOST_TEST(after.wait() == 200);  // it counts the deaths that its predecessor saw
    BOOST_TEST(after.tell(WorkerReady{Pid{104}}) == "drain 102");
    BOOST_TEST(after.exited({102, 103}) == "");
}

BOOST_AUTO_TEST_CASE(a_worker_that_dies_during_the_exec_is_replaced_by_the_next_program) {
    Driver after = successor_of(executing_with(pool_of(2), {100, 101}));
    after.tell(TookOver{});
    BOOST_TEST(after.tell(WorkerExited{Pid{101}}) == "spawn 0/1 gen 1");
}

BOOST_AUTO_TEST_CASE(the_numbers_of_generations_go_on_even_after_an_abandoned_one) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(HupReceived{});
    driver.tell(ConfigAccepted{pool_of(1)});
    driver.spawned({101});
    driver.exited({101});
    driver.tell(Usr2Received{});
    driver.tell(ImageProven{});
    Driver after = successor_of(driver);
    BOOST_TEST(after.supervisor.generation().value == 1U);
    BOOST_TEST(after.tell(TookOver{}) == "load 3");
}

// The ways it does not go.

BOOST_AUTO_TEST_CASE(a_refused_program_changes_nothing) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(Usr2Received{});
    BOOST_TEST(driver.tell(ImageRefused{}) == "abandon upgrade (it can't take over)");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "running");
    BOOST_TEST(driver.wait() == -1);
    BOOST_TEST(driver.tell(Usr2Received{}) == "prove");
}

BOOST_AUTO_TEST_CASE(a_program_that_hangs_is_given_up_after_ten_seconds) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(Usr2Received{});
    BOOST_TEST(driver.wait() == 10'000);
    BOOST_TEST(driver.after(9'999ms, TimePassed{}) == "");
    BOOST_TEST(driver.after(1ms, TimePassed{}) == "abandon upgrade (it did not answer in time)");
    BOOST_TEST(driver.tell(ImageProven{}) == "");
    BOOST_TEST(driver.wait() == -1);
}

BOOST_AUTO_TEST_CASE(a_program_that_can_not_be_executed_changes_nothing) {
    Driver driver = executing_with(pool_of(1), {100});
    BOOST_TEST(driver.tell(NotExecuted{}) == "abandon upgrade (it could not be executed)");
    BOOST_TEST(driver.tell(TookOver{}) == "");
    BOOST_TEST(driver.worker(100) == "0/0 gen 1 serving");
}

BOOST_AUTO_TEST_CASE(answers_to_no_upgrade_are_ignored) {
    Driver driver = running_with(pool_of(1), {100});
    for (const Event& answer :
         std::vector<Event>{ImageProven{}, ImageRefused{}, TookOver{}, NotExecuted{}})
        BOOST_TEST(driver.tell(answer) == "");
}

// What comes meanwhile.

BOOST_AUTO_TEST_CASE(hups_and_usr2s_during_a_refused_upgrade_become_one_more_of_each) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(Usr2Received{});
    for (int i = 0; i < 3; ++i) {
        BOOST_TEST(driver.tell(HupReceived{}) == "");
        BOOST_TEST(driver.tell(Usr2Received{}) == "");
    }
    BOOST_TEST(driver.tell(ImageRefused{}) == "abandon upgrade (it can't take over), prove");
    BOOST_TEST(driver.tell(ImageRefused{}) == "abandon upgrade (it can't take over), load 2");
    BOOST_TEST(driver.tell(ConfigRefused{}) == "abandon 2 (its configuration was refused)");
    BOOST_TEST(to_string(driver.supervisor.phase()) == "running");
}

BOOST_AUTO_TEST_CASE(a_hup_during_an_upgrade_is_served_by_its_reload_and_a_usr2_after_that) {
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(Usr2Received{});
    driver.tell(HupReceived{});
    driver.tell(ImageProven{});
    driver.tell(Usr2Received{});
    Driver after = successor_of(driver);
    BOOST_TEST(after.tell(TookOver{}) == "load 2");
    BOOST_TEST(after.tell(ConfigRefused{}) == "abandon 2 (its configuration was refused), prove");
    BOOST_TEST(after.tell(ImageRefused{}) == "abandon upgrade (it can't take over)");
}

BOOST_AUTO_TEST_CASE(a_usr2_during_a_reload_waits_for_its_end) {
    Driver driver = reloading_with(pool_of(1), {100}, {101});
    BOOST_TEST(driver.tell(Usr2Received{}) == "");
    BOOST_TEST(driver.ready({101}) == "commit 2, drain 100, prove");
}

BOOST_AUTO_TEST_CASE(a_usr2_during_the_start_waits_for_its_end) {
    Driver driver;
    driver.tell(Start{pool_of(1)});
    driver.spawned({100});
    BOOST_TEST(driver.tell(Usr2Received{}) == "");
    BOOST_TEST(driver.ready({100}) == "started, prove");
}

BOOST_AUTO_TEST_CASE(workers_come_and_go_while_a_program_is_proven) {
    Driver driver = running_with(pool_of(2), {100, 101});
    driver.tell(Usr2Received{});
    BOOST_TEST(driver.tell(WorkerExited{Pid{101}}) == "spawn 0/1 gen 1");
    driver.spawned({102});
    BOOST_TEST(driver.tell(TtinReceived{}) == "spawn 0/2 gen 1");
    driver.spawned({103});
    driver.ready({102, 103});
    BOOST_TEST(driver.tell(TtouReceived{}) == "drain 103");
    BOOST_TEST(driver.tell(ImageProven{}) == "execute");
}

BOOST_AUTO_TEST_CASE(term_and_quit_end_an_upgrade_before_they_stop) {
    const std::string abandon = "abandon upgrade (the master was told to stop), stopping, ";
    Driver driver = running_with(pool_of(1), {100});
    driver.tell(Usr2Received{});
    BOOST_TEST(driver.tell(TermReceived{}) == abandon + "drain 100");
    BOOST_TEST(driver.tell(ImageProven{}) == "");
    BOOST_TEST(driver.exited({100}) == "exit 0");
    Driver late = executing_with(pool_of(1), {100});
    BOOST_TEST(late.tell(QuitReceived{}) == abandon + "kill -9 100 (the master was told to stop)");
    BOOST_TEST(late.tell(NotExecuted{}) == "");
}

BOOST_AUTO_TEST_SUITE_END()
