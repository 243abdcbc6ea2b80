#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <random>
#include <set>

#include "client.hpp"
#include "daemon.hpp"
#include "needs_root.hpp"
#include "shared/syscalls.hpp"

// Signals at any moment: what has a meaning happens, what has none doesn't, and afterwards
// everything is as configured. PREFORKD_SEED=N plays the same storm again, as far as timing allows.

using namespace preforkd::testing;

namespace {

// STOP and KILL can't be met. These end whoever raises them: what a fault raises must not be
// ignored.
const std::set<int> of_faults{SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGXCPU};
const std::set<int> endings{SIGKILL, SIGSTOP, SIGTERM, SIGINT, SIGQUIT};

std::vector<int> signals_without(const std::set<int>& more) {
    std::vector<int> signals;
    for (int signal = 1; signal <= 64; ++signal) {
        if (!of_faults.contains(signal) && !endings.contains(signal) && !more.contains(signal))
            signals.push_back(signal);
    }
    return signals;
}

class Storm {
  public:
    explicit Storm(std::vector<int> signals) : signals_(std::move(signals)), random_(seed()) {}

    /// So many, at one process.
    void strike(const Process& target, int count) {
        for (int i = 0; i < count; ++i) target.send(any());
    }
    [[nodiscard]] int any() { return signals_[random_() % signals_.size()]; }
    [[nodiscard]] unsigned up_to(unsigned limit) {
        return static_cast<unsigned>(random_()) % limit;
    }

  private:
    static unsigned seed() {
        const char* const given = std::getenv("PREFORKD_SEED");
        const unsigned seed =
            given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
        BOOST_TEST_MESSAGE("PREFORKD_SEED=" << seed);
        return seed;
    }
    std::vector<int> signals_;
    std::minstd_rand random_;
};

/// Sends a signal that resizes the pool, again while it is refused, until a line with `done` comes.
void resize(Daemon& server, int signal, const std::vector<std::string>& done) {
    for (;;) {
        server.wait_for("no reload or upgrade", [&] {
            return server.inbox().all_notes().back().starts_with("STATUS=running: ");
        });
        server.send(signal);
        const auto has_come = [&](const auto& parts) { return server.count_lines(parts) > 0; };
        const std::vector<std::string> refused{"warning", "no worker "};
        server.wait_for("an answer", [&] { return has_come(refused) || has_come(done); });
        if (has_come(done)) return;
    }
}

/// Waits until everything that was sent is dealt with. TTIN, which is in no storm, marks its end:
/// the master takes signals in the order of their numbers, and its is the highest that means
/// something. During a reload or an upgrade it is refused.
void settle(Daemon& server) {
    resize(server, SIGTTIN, {"worker ready", "slot=main/2"});
    resize(server, SIGTTOU, {"worker exited", "slot=main/2"});
}

/// Deaths but those that the master itself decides on.
std::size_t count_stray_deaths(Daemon& server) {
    return server.count_lines({"warning", "worker exited"}) -
           server.count_lines({"warning", "worker exited", "signal 9 (Killed)"});
}

/// The children it has just now, some of which are about to end: drained workers, and the next
/// program's proof.
std::vector<Process> children_in_motion(const Daemon& server) {
    std::vector<Process> children;
    for (const pid_t pid : server.workers()) {
        auto child = Process::find(pid);
        // Held by now, so this is still the parent of the one that was found.
        if (child && stat_of(pid).parent == server.pid()) children.push_back(std::move(*child));
    }
    return children;
}

/// Nothing half done: a reload for real, after which there is one worker for each slot, of one
/// generation, and as many descriptors as `descriptors`, if we may look.
void check_as_configured(Daemon& server, std::size_t workers, std::size_t descriptors) {
    for (int reloads = 0; reloads < 2; ++reloads) {
        const auto before = children_in_motion(server);
        server.send(SIGHUP);
        server.wait_for_line({"reload ok"});
        for (const Process& worker : before)
            server.wait_for_line({"worker exited", "worker=" + std::to_string(worker.pid())});
        BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    }
    server.send(SIGUSR1);  // answered after it has let go of what it had of the last that exited
    server.wait_for_line({"logs reopened"});
    BOOST_TEST(server.workers().size() == workers);
    for (const pid_t worker : server.workers()) BOOST_TEST(stat_of(worker).state != 'Z');
    BOOST_TEST(descriptors_of(server.pid()).size() == descriptors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(signal_storms)

BOOST_AUTO_TEST_CASE(a_storm_changes_nothing_that_was_not_asked_for) {
    Daemon server;
    server.start();
    const std::size_t descriptors = descriptors_of(server.pid()).size();
    // TTIN and TTOU have a meaning that would stay.
    Storm storm(signals_without({SIGTTIN, SIGTTOU}));
    for (int round = 0; round < 20; ++round) {
        storm.strike(server.process(), 50);
        for (const Process& child : children_in_motion(server)) storm.strike(child, 20);
        BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    }
    BOOST_TEST(server.process().is_running());
    settle(server);
    BOOST_TEST(count_stray_deaths(server) == 0u);
    check_as_configured(server, 2, descriptors);
    server.stop();
}

/// Starts `server` so that no signal can end it before its main() is reached: until then the kernel
/// does with them what its parent asked for.
void begin_unharmed(Daemon& server) {
    sigset_t all, before;
    sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, &before);
    // The C library keeps these for itself and never blocks them. Source: signal(7).
    for (const int own : {32, 33}) preforkd::set_disposition(own, SIG_IGN);
    server.begin();
    for (const int own : {32, 33}) preforkd::set_disposition(own, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

void ignore_all_signals() {
    for (int signal = 1; signal <= 64; ++signal)
        preforkd::set_disposition(signal, SIG_IGN);  // KILL and STOP refuse
}

BOOST_AUTO_TEST_CASE(a_storm_during_the_start_leaves_a_whole_server) {
    for (int round = 0; round < 5; ++round) {
        Daemon server({.parent = ignore_all_signals});
        begin_unharmed(server);
        // HUP, USR2 and those that resize have their effect after the start: see the case above.
        Storm storm(signals_without({SIGTTIN, SIGTTOU, SIGHUP, SIGUSR2}));
        while (server.process().is_running() && server.inbox().notes().empty()) {
            server.process().send(storm.any());
            server.inbox().gather();
        }
        server.wait_for_note({"READY=1"});
        BOOST_TEST(Client(server.address()).ask("hello") == "hello");
        BOOST_TEST(server.workers().size() == 2u);
        server.stop();
    }
}

BOOST_AUTO_TEST_CASE(an_order_during_the_start_is_carried_out_after_it) {
    Daemon server({.parent = ignore_all_signals});
    begin_unharmed(server);
    while (server.process().is_running() && server.inbox().notes().empty()) {
        for (const int signal : {SIGHUP, SIGUSR1, SIGTTIN, SIGTTOU}) server.process().send(signal);
        server.inbox().gather();
    }
    server.wait_for_line({"reload ok", "generation="});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_end_at_any_moment_of_a_reload_is_an_end) {
    Storm storm({SIGTERM, SIGINT, SIGQUIT});
    for (int round = 0; round < 10; ++round) {
        Daemon server({.keys = "workers = 2\nkeepalive_grace = 0s\n"});
        server.start();
        server.send(SIGHUP);
        for (unsigned i = storm.up_to(200); i > 0; --i) server.inbox().gather();
        server.process().send(storm.any());
        BOOST_TEST(server.outcome().exit == exited(0));
        server.check_nothing_left();
    }
}

BOOST_AUTO_TEST_CASE(whatever_is_sent_to_all_during_a_stop_nobody_is_left) {
    const auto stop_with = [](const std::vector<int>& signals, Exit expected) {
        Daemon server({.keys = "workers = 2\nkeepalive_grace = 0s\n",
                       .sections = listener("echo", "probe"),
                       .probe = true});
        server.start();
        Client client(server.address());
        BOOST_TEST(client.ask("hello") == "hello");
        client.send("in the middle ");
        std::vector<Process> everybody;
        for (const pid_t worker : server.workers()) everybody.emplace_back(worker);
        everybody.emplace_back(server.pid());
        server.send(SIGTERM);
        server.wait_for_line({"stopping"});
        for (const int signal : signals)
            for (const Process& process : everybody) process.send(signal);
        for (const Process& process : everybody) process.send(SIGCONT);  // after a STOP
        (void)client.try_send("of a message\n");
        BOOST_TEST(server.outcome().exit == expected);
        if (expected == exited(0)) return server.check_nothing_left();
        for (const Process& process : everybody)
            if (process.pid() != server.pid()) process.wait_for_end();
    };
    stop_with(signals_without({}), exited(0));
    std::set<int> one_by_one = of_faults;
    one_by_one.insert(endings.begin(), endings.end());
    for (const int signal : one_by_one) {
        const bool is_met = signal != SIGKILL && !of_faults.contains(signal);
        BOOST_TEST_CONTEXT("signal " << signal)
        stop_with({signal}, is_met ? exited(0) : killed_by(signal));
    }
}

BOOST_AUTO_TEST_SUITE_END()
