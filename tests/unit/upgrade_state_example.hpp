#pragma once

#include "master/upgrade_state.hpp"

namespace preforkd::master::test {

/// A state with something in every field.
inline UpgradeState example_state() {
    using namespace std::chrono_literals;
    const SlotId first{PoolId{0}, 0}, second{PoolId{1}, 3};
    UpgradeState state;
    state.version = "1.2.3";
    state.master = Pid{4242};
    state.start = {
        .program = "preforkd",
        .image_path = "/usr/sbin/preforkd",
        .arguments = {"-c", "/etc/preforkd/preforkd.conf", ""},
        .working_folder = "/root",
        .environment = {"TZ=UTC", "EMPTY=", std::string("NUL=\0x", 6)},
        .foreground = false,
        .oom_score = "0",
        .kernel = {.landlock = 4, .seccomp = true, .landlock_error = 1, .seccomp_error = 22}};
    state.callers_stderr = {20};
    state.lock_path = "/run/preforkd/preforkd.pid";
    state.lock = {21};
    state.notifier = {22};
    state.watchdog = std::chrono::microseconds(30'000'000);
    state.pools = {"main", "board"};
    state.supervisor = {.generation = Generation{7},
                        .policy = {.pools = {{PoolId{0}, 1}, {PoolId{1}, 4}},
                                   .ready_timeout = 5s,
                                   .drain_timeout = 1ms,
                                   .shutdown_delay = 2s},
                        .last_raised = Generation{9},
                        .reload_wanted = true,
                        .upgrade_wanted = true,
                        .workers = {}};
    Worker serving;
    serving.slot = first;
    serving.generation = Generation{7};
    serving.state = WorkerState::serving;
    serving.pid = Pid{100};
    serving.recycle_due = true;
    Worker resting;
    resting.slot = second;
    resting.generation = Generation{7};
    resting.deadline = TimePoint(12345678901234ns);
    resting.failures = 3;
    resting.spawned_at = TimePoint(-1ns);
    state.supervisor.workers = {serving, resting};
    state.deployment.config_text = "# preforkd: the effective configuration\nworkers = 1\n";
    const ListenerOptions options{.backlog = 511, .client_speaks_first = true};
    state.deployment.listeners.groups = {
        {.configured = "0.0.0.0:0",
         .options = options,
         .members = {4, 0},
         .sockets = {{{23}, std::string("\x02\0\0\x50", 4), 5, 1ul << 40, false},
                     {{29}, "\x02", 0, 0, true}},
         .targets = {0},
         .attached = {1}}};
    state.deployment.listeners.entries = {
        {.section = "web", .options = options, .one_per_slot = true, .group = 0}};
    state.deployment.paths = {{.section = 0, .key = "root", .descriptor = {24}}};
    state.deployment.copies = {33};
    state.deployment.logs = {{25}, LogStyle::journal, {26}, {}};
    SavedWorker& worker = state.workers.emplace_back();
    worker.pid = Pid{100};
    worker.pidfd = {27};
    worker.channel = {28};
    worker.slot = first;
    worker.generation = Generation{7};
    worker.spawned_at = TimePoint(99ns);
    worker.ready = true;
    worker.places = {{.group = 0, .member = 4, .accepting = false, .kept = true},
                     {.group = {}, .member = 1}};
    worker.full = true;
    worker.page_number = 12;
    worker.page = {30};
    worker.hang_timer = {31};
    worker.stopped = true;
    worker.silenced = true;
    worker.doom = ExitKind::hung;
    state.scoreboard = {1, "front", "listeners", "workers", 12};
    state.started_at = TimePoint(1ns);
    state.verdict = "reload ok";
    return state;
}

}  // namespace preforkd::master::test
