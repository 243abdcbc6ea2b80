#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "client.hpp"
#include "daemon.hpp"
#include "gate.hpp"
#include "master/processes.hpp"
#include "variant.hpp"

// USR2: another program goes on as the same process, and nobody notices.

using namespace preforkd::testing;

namespace {

/// Tries to take the lock, again and again, until told to stop; 0 if it never could.
class LockThief {
  public:
    explicit LockThief(const std::string& path) {
        Pipe started;
        pid_ = start_child([&] {
            stop_.writing.reset();
            started.reading.reset();
            const preforkd::UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
            started.writing.reset();
            std::vector<pollfd> told{{stop_.reading.get(), POLLIN, 0}};
            // It looks often, and lets others run in between.
            while (::poll(told.data(), told.size(), 1) == 0)
                for (int i = 0; i < 100; ++i)
                    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return 1;
            return 0;
        });
        started.writing.reset();
        (void)read_until_closed(started.reading);
    }
    int finish() {
        stop_.writing.reset();
        return wait_for(pid_);
    }

  private:
    Pipe stop_;
    pid_t pid_ = 0;
};

/// Starts a second copy, which must find the first one.
void check_second_copy_is_refused(const Daemon& server) {
    Command command = server.command(false);
    command.arguments.emplace_back("-F");
    const Outcome second = finish(execute(command));
    BOOST_TEST(second.exit == exited(1));
    BOOST_TEST(holds_all(second.printed, {"already running as pid"}), second.printed);
}

/// A server whose next program waits at a gate, where the test looks at it and meddles.
struct HeldUpgrade {
    Gate gate;
    UpgradableDaemon server;

    /// `next`: with its gate, made by before_proof() or after_exec().
    Visitor begin(const Variant& next) {
        server.start();
        server.install(next);
        server.send(SIGUSR2);
        return gate.next();
    }
    Visitor hold_proof() {
        return begin({.version = "2.0", .when_proving = "gate " + gate.name()});
    }
    Visitor hold_exec() {
        return begin({.version = "2.0", .when_taking_over = "gate " + gate.name()});
    }
};

/// What it has open, sockets and pipes without their numbers.
std::vector<std::string> descriptors(const Daemon& server) {
    std::vector<std::string> all;
    for (const auto& [number, what] : descriptors_of(server.pid()))
        all.push_back(what.substr(0, what.starts_with("/") ? what.npos : what.find('[')));
    std::sort(all.begin(), all.end());
    return all;
}

/// What the kernel lets a process do, and which one it would end first without memory.
std::string privileges_of(pid_t pid) {
    auto status = status_of(pid);
    std::string all;
    for (const char* const set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"})
        all += status[set] + " ";
    return all + preforkd::master::read_proc(preforkd::Pid{pid}, "oom_score_adj");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(upgrade)

BOOST_AUTO_TEST_CASE(usr2_executes_the_new_program_in_place) {
    UpgradableDaemon server;
    server.start();
    const auto old = server.workers();
    const std::string address = server.address();
    const auto umask = status_of(server.pid())["Umask"];
    server.install({.version = "2.0"});
    server.send(SIGUSR2);
    server.wait_for_line({"upgrade begins", "running=1.0", server.path()});
    server.wait_for_line({"took over", "from=1.0", "to=2.0", "workers=2"});
    server.wait_for_line({"upgrade ok", "from=1.0", "to=2.0", "generation=2"});
    for (const pid_t pid : old)
        server.wait_for_line({"worker exited", "worker=" + std::to_string(pid), "exit status 0"});
    BOOST_TEST(server.process().is_running());
    BOOST_TEST(title_of(server.pid()) == "probed: master");
    BOOST_TEST(server.locked_by().value() == server.pid());
    BOOST_TEST(link_of(server.pid(), "cwd") == "/");
    BOOST_TEST(link_of(server.pid(), "exe") == server.path());
    BOOST_TEST(status_of(server.pid())["Umask"] == umask);
    (void)server.worker("main/0 gen 2");
    (void)server.worker("main/1 gen 2");
    BOOST_TEST(server.workers().size() == 2u);
    BOOST_TEST(server.address() == address);
    BOOST_TEST(Client(address).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_new_program_and_its_workers_get_no_privilege_more) {
    UpgradableDaemon server;
    server.start();
    const std::string master = privileges_of(server.pid());
    const std::string worker = privileges_of(server.worker("main/0 gen 1"));
    server.install({.version = "2.0"});
    server.send(SIGUSR2);
    server.wait_for_line({"upgrade ok"});
    BOOST_TEST(privileges_of(server.pid()) == master);
    BOOST_TEST(privileges_of(server.worker("main/0 gen 2")) == worker);
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_was_counted_is_counted_on_by_the_new_program) {
    UpgradableDaemon server;
    server.start();
    const auto shown = [&](const std::string& text) {
        const Outcome outcome = run_preforkctl(server.lock_file(), {"metrics"});
        return holds_all(outcome.printed, {text}) ? text : outcome.printed;
    };
    {
        Client client(server.address());
        for (int i = 0; i < 3; ++i) BOOST_TEST(client.ask("count") == "ok");
    }
    const std::string requests = "preforkd_requests_total{listener=\"echo\",code=\"none\"} 3\n";
    BOOST_TEST(shown(requests) == requests);
    server.install({.version = "2.0"});
    server.send(SIGUSR2);
    server.wait_for_line({"upgrade ok"});
    BOOST_TEST(shown(requests) == requests);
    server.wait_for("the end of the old workers",
                    [&] { return server.count_lines({"worker exited"}) >= 2; });
    BOOST_TEST(shown(requests) == requests);
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_service_manager_hears_of_it_as_of_a_reload) {
    UpgradableDaemon server;
    server.start();
    server.install({.version = "2.0"});
    server.send(SIGUSR2);
    const std::string reloading = server.wait_for_note({"RELOADING=1"});
    BOOST_TEST(holds_all(reloading, {"MONOTONIC_USEC="}));
    const std::string ready = server.wait_for_note({"READY=1"});
    BOOST_TEST(holds_all(ready, {"X_PREFORKD_GENERATION=2", "X_PREFORKD_LISTEN=echo "}));
    server.wait_for_note({"STATUS=running: generation 2, 2 serving", "upgrade ok: 1.0 to 2.0"});
    std::size_t announced = 0;
    for (const std::string& note : server.inbox().notes()) {
        BOOST_TEST(!holds_all(note, {"MAINPID"}));
        announced += holds_all(note, {"RELOADING=1"});
    }
    BOOST_TEST(announced == 1u);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_daemon_is_upgraded_as_well) {
    UpgradableDaemon server;
    server.launch();
    const Stat before = stat_of(server.pid());
    server.upgrade_to("2.0");
    const Stat after = stat_of(server.pid());
    BOOST_TEST(after.session == before.session);
    BOOST_TEST(after.parent == ::getpid());
    BOOST_TEST(server.locked_by().value() == server.pid());
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(one_upgrade_follows_another_and_nothing_piles_up) {
    UpgradableDaemon server(UpgradableDaemon::with_keys("workers = 1\n"));
    server.start();
    const auto before = descriptors(server);
    for (int version = 2; version <= 5; ++version) {
        server.upgrade_to(std::to_string(version));
        server.wait_for_line({"worker exited", "generation=" + std::to_string(version - 1)});
        server.send(SIGUSR1);
        server.wait_for_line({"logs reopened"});  // what was the worker's is closed by now
    }
    BOOST_TEST(descriptors(server) == before, boost::test_tools::per_element());
    server.send(SIGHUP);
    server.wait_for_line({"reload ok", "generation=6"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_new_program_gets_the_callers_environment_and_its_workers_do_not) {
    Gate gate;
    Setup setup = UpgradableDaemon::with_keys();
    setup.environment = {"SOMETHING=else", "TZ=UTC", "LISTEN_FDS=1"};
    UpgradableDaemon server(setup);
    server.start();
    server.install({.version = "2.0", .when_taking_over = "gate " + gate.name()});
    server.send(SIGUSR2);
    Visitor successor = gate.next();
    std::string callers;
    for (const std::string& variable : environment_of(successor.pid())) callers += variable + "|";
    BOOST_TEST(holds_all(callers, {"SOMETHING=else|", "TZ=UTC|", "NOTIFY_SOCKET="}), callers);
    BOOST_TEST(!holds_all(callers, {"LISTEN_FDS"}), callers);
    successor.pass();
    server.wait_for_line({"upgrade ok"});
    const std::string workers = Client(server.address()).ask("environment");
    BOOST_TEST(holds_all(workers, {"TZ=UTC|"}), workers);
    BOOST_TEST(!holds_all(workers, {"SOMETHING"}), workers);
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_watchdog_is_fed_by_the_new_program) {
    Setup setup = UpgradableDaemon::with_keys();
    setup.environment = {"WATCHDOG_USEC=200000"};
    UpgradableDaemon server(setup);
    server.start();
    server.upgrade_to("2.0");
    for (int i = 0; i < 3; ++i) {
        server.mark();
        server.wait_for_note({"WATCHDOG=1"});
    }
    server.stop();
}

// ---- Nobody notices ----

BOOST_AUTO_TEST_CASE(the_lock_is_never_free) {
    UpgradableDaemon server;
    server.start();
    LockThief thief(server.lock_file());
    for (const char* const version : {"2.0", "3.0"}) server.upgrade_to(version);
    BOOST_TEST(thief.finish() == 0);
    server.stop();
    BOOST_TEST(!std::filesystem::exists(server.lock_file()));
}

BOOST_AUTO_TEST_CASE(a_second_copy_is_refused_all_through) {
    HeldUpgrade held;
    Visitor next = held.begin({.version = "2.0",
                               .when_proving = "gate " + held.gate.name(),
                               .when_taking_over = "gate " + held.gate.name()});
    check_second_copy_is_refused(held.server);
    next.pass();
    Visitor successor = held.gate.next();
    BOOST_TEST(successor.pid() == held.server.pid());
    BOOST_TEST(title_of(successor.pid()).starts_with("probed: master"));
    check_second_copy_is_refused(held.server);
    successor.pass();
    held.server.wait_for_line({"upgrade ok"});
    check_second_copy_is_refused(held.server);
    held.server.stop();
}

BOOST_AUTO_TEST_CASE(the_old_workers_serve_while_the_new_program_is_proven_and_executed) {
    HeldUpgrade held;
    Visitor next = held.begin({.version = "2.0",
                               .when_proving = "gate " + held.gate.name(),
                               .when_taking_over = "gate " + held.gate.name()});
    const auto workers = held.server.workers();
    BOOST_TEST(workers.size() == 3u);  // the program that proves itself is the third child
    Client kept(held.server.address());
    const std::string worker = kept.ask("pid");
    Client halfway(held.server.address());
    halfway.send("half a ");
    BOOST_TEST(Client(held.server.address()).ask("hello") == "hello");
    next.pass();
    Visitor successor = held.gate.next();
    BOOST_TEST(kept.ask("pid") == worker);
    BOOST_TEST(Client(held.server.address()).ask("hello") == "hello");
    successor.pass();
    held.server.wait_for_line({"upgrade ok"});
    held.server.wait_for_line({"worker drains", "worker=" + worker});
    halfway.send("line\n");
    BOOST_TEST(halfway.receive_rest() == "half a line\n");
    BOOST_TEST(kept.receive_rest() == "");
    held.server.stop();
}

BOOST_AUTO_TEST_CASE(a_response_under_way_is_finished) {
    constexpr std::size_t size = 32u << 20, much_less = 1u << 20;
    const TempFolder programs;
    const std::string program = programs / "preforkd";
    std::filesystem::copy_file(built_program(), program);
    Setup setup;
    setup.sections = listener("web", "http", "root = site\n");
    Daemon server(executing(setup, program));
    const std::string site = server.folder() / "site";
    std::filesystem::create_directory(site);
    std::ofstream(site + "/big") << std::string(size, 'x');
    for (const std::string& path : {server.folder().path(), site})
        std::filesystem::permissions(path, std::filesystem::perms(0755));
    server.start();
    Client client(server.address("web"));
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!client.receive_line().starts_with("\r")) continue;
    const std::string beginning = client.receive(much_less);
    server.send(SIGUSR2);
    server.wait_for_line({"upgrade ok"});
    BOOST_TEST((client.receive(size - much_less) + beginning == std::string(size, 'x')));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_dies_during_the_exec_is_noticed) {
    HeldUpgrade held;
    Visitor successor = held.hold_exec();
    const pid_t victim = held.server.worker("main/1 gen 1");
    const Process worker(victim);
    worker.send(SIGKILL);
    worker.wait_for_end();
    successor.pass();
    held.server.wait_for_line({"worker exited", "worker=" + std::to_string(victim), "signal 9"});
    held.server.wait_for_line({"upgrade ok"});
    held.server.stop();
}

BOOST_AUTO_TEST_CASE(signals_that_come_during_the_proof_are_served) {
    HeldUpgrade held;
    UpgradableDaemon& server = held.server;
    Visitor next = held.hold_proof();
    server.process().send(SIGUSR1);
    server.wait_for_line({"logs reopened"});
    server.process().send(SIGTTIN);
    server.wait_for_line({"worker ready", "slot=main/2", "generation=1"});
    for (int i = 0; i < 3; ++i) {
        server.process().send(SIGHUP);
        server.process().send(SIGUSR2);
    }
    next.pass();
    server.wait_for_line({"upgrade ok", "to=2.0", "generation=2"});
    // The USR2s became one more upgrade; the HUPs were served by the first one's reload.
    held.gate.pass(1);
    server.wait_for_line({"upgrade ok", "from=2.0", "to=2.0", "generation=3"});
    server.process().send(SIGTERM);
    BOOST_TEST(server.outcome().exit == exited(0));
    BOOST_TEST(server.count_lines({"upgrade begins"}) == 2u);
    BOOST_TEST(server.count_lines({"reload begins"}) == 2u);
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(term_during_the_proof_stops_at_once) {
    HeldUpgrade held;
    const Visitor next = held.hold_proof();
    held.server.process().send(SIGTERM);
    held.server.wait_for_line({"upgrade refused", "the master was told to stop"});
    next.process().wait_for_end();
    BOOST_TEST(held.server.outcome().exit == exited(0));
    held.server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(signals_that_come_during_the_exec_wait_for_the_new_program) {
    HeldUpgrade held;
    UpgradableDaemon& server = held.server;
    Visitor successor = held.hold_exec();
    for (const int signal : {SIGUSR1, SIGHUP, SIGUSR2}) server.process().send(signal);
    successor.pass();
    server.wait_for_line({"took over"});
    server.wait_for_line({"logs reopened"});
    server.wait_for_line({"upgrade ok", "from=1.0", "generation=2"});
    held.gate.pass(1);
    server.wait_for_line({"upgrade ok", "from=2.0", "generation=3"});  // and with it the HUP
    server.stop();
}

BOOST_AUTO_TEST_CASE(term_during_the_exec_is_served_by_the_new_program) {
    HeldUpgrade held;
    Visitor successor = held.hold_exec();
    held.server.process().send(SIGTERM);
    successor.pass();
    held.server.wait_for_line({"stopping"});
    BOOST_TEST(held.server.outcome().exit == exited(0));
    held.server.check_nothing_left();
}

// ---- What goes over ----

BOOST_AUTO_TEST_CASE(a_unix_socket_stays_and_is_removed_by_the_new_program) {
    Setup setup = UpgradableDaemon::with_keys();
    setup.sections = "[listen.echo]\naddress = unix:socket\nservice = probe\n";
    UpgradableDaemon server(setup);
    server.start();
    const std::string address = "unix:" + server.folder() / "socket";
    server.upgrade_to("2.0");
    BOOST_TEST(Client(address).ask("hello") == "hello");
    server.stop();
    BOOST_TEST(!std::filesystem::exists(server.folder() / "socket"));
}

BOOST_AUTO_TEST_CASE(listeners_come_and_go_by_reloads_of_the_new_program) {
    UpgradableDaemon server;
    server.start();
    const std::string kept = server.address();
    server.upgrade_to("2.0");
    server.configure(listener("echo", "probe") + listener("more", "probe"));
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    const std::string added = server.address("more");
    BOOST_TEST(server.address() == kept);
    BOOST_TEST(Client(added).ask("new") == "new");
    server.upgrade_to("3.0");
    BOOST_TEST(Client(added).ask("still") == "still");
    BOOST_TEST(Client(kept).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_the_service_manager_passed_is_kept) {
    preforkd::UniqueFd passed = listen_at(own_ip() + ":0");
    const std::string address = address_of(passed);
    Setup setup = UpgradableDaemon::with_keys();
    setup.sections = "[listen.echo]\naddress = " + address + "\nservice = probe\n";
    setup.environment = {std::string("LISTEN_PID=") + own_pid, "LISTEN_FDS=1"};
    setup.parent = [&] { (void)::dup2(::dup(passed.get()), 3); };
    UpgradableDaemon server(setup);
    server.start();
    passed.reset();
    server.upgrade_to("2.0");
    BOOST_TEST(server.address() == address);
    BOOST_TEST(Client(address).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_configuration_that_is_read_is_the_one_of_now) {
    UpgradableDaemon server;
    server.start();
    server.configure("workers = 3\n", listener("echo", "probe") + listener("more", "probe"));
    server.upgrade_to("2.0");
    BOOST_TEST(Client(server.address("more")).ask("new") == "new");
    (void)server.worker("main/2 gen 2");
    server.stop();
}

BOOST_AUTO_TEST_CASE(new_workers_that_cannot_start_leave_the_old_ones_to_the_new_program) {
    Gate gate;
    UpgradableDaemon server(UpgradableDaemon::with_keys("workers = 1\n"));
    server.start();
    const auto old = server.workers();
    server.configure(listener("echo", "probe", "gate = " + gate.name() + "\n"));
    server.install({.version = "2.0"});
    server.send(SIGUSR2);
    gate.next().fail("the moon is full");
    server.wait_for_line({"upgraded, but the old workers go on", "from=1.0", "to=2.0", "main/0",
                          "the moon is full"});
    server.wait_for_note({"STATUS=running: generation 1, 1 serving",
                          "upgraded: 1.0 to 2.0, but the old workers go on: ", "moon"});
    BOOST_TEST(server.inbox().wait_until([&] { return server.workers() == old; }));
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.configure(listener("echo", "probe"));
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
