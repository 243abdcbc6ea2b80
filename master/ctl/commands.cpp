#include "master/ctl/commands.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <ctime>

#include "master/ctl/running_server.hpp"
#include "master/ctl/status_text.hpp"
#include "shared/exit_code.hpp"
#include "shared/snapshot_text.hpp"

namespace preforkd::ctl {
namespace {

/// What is shown per second is of so long.
constexpr milliseconds sample{1000};
constexpr milliseconds watch_interval{2000};
constexpr int most_misses = 3;

/// How often a waiting caller looks for its verdict, and how long at most. A reload is bounded by
/// ready_timeout, an upgrade by that and its own checks.
constexpr milliseconds look_interval{50};
constexpr seconds longest_wait{120};

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

// ---- status ----

Readings readings_of(Snapshot before, TimePoint before_moment, Snapshot now) {
    const TimePoint moment = Clock::now();
    return {std::move(before), std::move(now), moment - before_moment, moment, std::time(nullptr)};
}

void show(const std::string& text) {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0)
        print(on_screen(text, window.ws_row));
    else
        print(text + "\n");
}

/// Nothing ends it but the server's end or the person who watches. The terminal is as it was after
/// each picture, so that Ctrl-C needs no handling.
int watch(RunningServer& server) {
    Snapshot before = server.read();
    TimePoint moment = Clock::now();
    milliseconds interval = sample;
    for (int misses = 0;;) {
        if (server.wait_for_end(interval)) (void)server.read();  // throws: it has ended
        // Anew, for the program of an upgrade has a scoreboard of its own, and at first none.
        auto now = server.read_anew();
        if (!now) {
            // Throws: it is another version now, or stopped in the middle of a change.
            if (++misses == most_misses) {
                server.open();
                (void)server.read();
            }
            continue;
        }
        misses = 0;
        Readings readings = readings_of(std::move(before), moment, std::move(*now));
        show(status_text(readings));
        before = std::move(readings.now);
        moment = readings.moment;
        interval = watch_interval;
    }
}

int show_status(RunningServer& server, const Order& order) {
    if (order.quiet) return exit_ok;
    if (order.watch) return watch(server);
    Snapshot first = server.read();
    const TimePoint moment = Clock::now();
    if (order.json) {
        print(to_json(first, moment));
        return exit_ok;
    }
    (void)server.wait_for_end(sample);
    print(status_text(readings_of(std::move(first), moment, server.read())));
    return exit_ok;
}

// ---- reload, upgrade ----

/// The first verdict on what was ordered later than `before`; none yet.
std::optional<Verdict> verdict_after(const Snapshot& now, const MasterFront& before) {
    std::optional<Verdict> found;
    for (const Verdict& verdict : verdicts_of(now.front))
        if (verdict.orders > before.orders && verdict.number > before.last_verdict)
            found = verdict;  // the oldest comes last
    return found;
}

int tell(const Verdict& verdict) {
    if (verdict.accepted != 0) {
        print(fmt::format("{} ok: generation {} serves\n", to_string(verdict.kind),
                          verdict.generation));
        return exit_ok;
    }
    // As Master words it: the program was replaced, its workers were not.
    const bool is_half = verdict.text.view().starts_with("upgraded");
    throw StartupError(
        exit_failure,
        fmt::format("{}\n    generation {} keeps serving, {}", verdict.text.view(),
                    verdict.generation, is_half ? "under the new program" : "nothing changed"));
}

int await_verdict(RunningServer& server, const MasterFront& before, const char* what) {
    const TimePoint limit = Clock::now() + longest_wait;
    while (Clock::now() < limit) {
        if (server.wait_for_end(look_interval)) (void)server.read();  // throws: it has ended
        const auto now = server.read_anew();
        if (!now) continue;
        if (const auto verdict = verdict_after(*now, before)) return tell(*verdict);
        if (now->front.state == ServerState::stopping)
            throw StartupError(exit_failure, fmt::format("no {}: the server is stopping\n"
                                                         "    start it again when it has ended",
                                                         what));
    }
    throw StartupError(exit_failure, fmt::format("the {} has not ended after {} s, and goes on\n"
                                                 "    preforkctl status shows how it ended",
                                                 what, longest_wait.count()));
}

int change_over(RunningServer& server, int signal, const char* what, bool wait) {
    const MasterFront before = server.read().front;
    if (before.state == ServerState::stopping)
        throw StartupError(exit_failure, fmt::format("no {}: the server is stopping\n"
                                                     "    start it again when it has ended",
                                                     what));
    server.send(signal);
    if (wait) return await_verdict(server, before, what);
    print(fmt::format("pid {} was told; how the {} ended is shown by preforkctl status\n",
                      server.pid().value, what));
    return exit_ok;
}

// ---- the others ----

int stop(RunningServer& server, bool fast) {
    server.send(fast ? SIGINT : SIGTERM);
    (void)server.wait_for_end(std::nullopt);
    print(fmt::format("pid {} has stopped\n", server.pid().value));
    return exit_ok;
}

int reopen(RunningServer& server) {
    server.send(SIGUSR1);
    print(fmt::format("pid {} was told; a log that can't be opened is named in the old error log\n",
                      server.pid().value));
    return exit_ok;
}

int change_workers(RunningServer& server, int change) {
    server.send(change > 0 ? SIGTTIN : SIGTTOU);
    print(
        fmt::format("pid {} was told; preforkctl status shows its workers\n", server.pid().value));
    return exit_ok;
}

int carry_out_on(RunningServer& server, const Order& order) {
    switch (order.command) {
        case Command::status:
            return show_status(server, order);
        case Command::reload:
            return change_over(server, SIGHUP, "reload", order.wait);
        case Command::upgrade:
            return change_over(server, SIGUSR2, "upgrade", order.wait);
        case Command::stop:
            return stop(server, order.fast);
        case Command::reopen:
            return reopen(server);
        case Command::workers:
            return change_workers(server, order.change);
        case Command::metrics:
            print(to_metrics(server.read(), Clock::now()));
            return exit_ok;
        default:
            return exit_usage;
    }
}

}  // namespace

int carry_out(const Order& order) {
    try {
        RunningServer server =
            RunningServer::find(order.lock_file.empty() ? default_lock_file() : order.lock_file);
        return carry_out_on(server, order);
    } catch (const NoServer& problem) {
        if (order.command != Command::status) throw;
        throw StartupError(problem.status_code(), order.quiet ? "" : problem.what());
    }
}

}  // namespace preforkd::ctl
