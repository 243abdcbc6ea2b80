#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <csignal>

#include "client.hpp"
#include "daemon.hpp"
#include "gate.hpp"

// HUP: a new generation takes over when all of it is READY; every failure keeps the old one.

using namespace preforkd::testing;

namespace {

std::string gate_section(const Gate& gate) {
    return listener("echo", "probe", "gate = " + gate.name() + "\n");
}

/// A probe server, one worker of which waits at the gate at each start.
struct GatedServer {
    Gate gate;
    Daemon server{{.keys = "workers = 1\n", .sections = gate_section(gate), .probe = true}};

    GatedServer() {
        server.begin();
        gate.pass(1);
        server.wait_for_note({"READY=1"});
    }
};

/// Waits for a verdict that refuses the reload, and checks that nobody noticed anything.
void check_refused(Daemon& server, const std::vector<pid_t>& workers,
                   const std::vector<std::string>& why) {
    const std::string line = server.wait_for_line({"reload refused"});
    BOOST_TEST(holds_all(line, why), line);
    server.wait_for_note({"READY=1"});
    // A new worker that was killed may be seen until it has been reaped, which the log tells.
    BOOST_TEST(server.inbox().wait_until([&] { return server.workers() == workers; }));
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reload)

BOOST_AUTO_TEST_CASE(the_new_generation_replaces_the_old_one) {
    Daemon server;
    server.start();
    const std::string address = server.address();
    const std::vector<pid_t> old = server.workers();
    server.send(SIGHUP);
    server.wait_for_line({"reload ok", "generation=2"});
    for (const pid_t pid : old)
        server.wait_for_line({"worker exited", "worker=" + std::to_string(pid), "exit status 0"});
    BOOST_TEST(server.workers().size() == 2);
    (void)server.worker("main/0 gen 2");
    (void)server.worker("main/1 gen 2");
    BOOST_TEST(server.address() == address);
    BOOST_TEST(Client(address).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_old_generation_serves_until_all_of_the_new_one_is_ready) {
    Gate gate;
    Daemon server({.sections = listener("echo", "probe"), .probe = true});
    server.start();
    const std::vector<pid_t> old = server.workers();
    server.configure(gate_section(gate));
    server.send(SIGHUP);
    Visitor first = gate.next();
    Visitor second = gate.next();
    first.pass();
    server.wait_for_line({"worker ready", "worker=" + std::to_string(first.pid())});
    for (const pid_t pid : old) BOOST_TEST(title_of(pid).find("draining") == std::string::npos);
    BOOST_TEST(server.count_lines({"worker drains"}) == 0u);
    second.pass();
    server.wait_for_line({"reload ok"});
    for (const pid_t pid : old)
        server.wait_for_line({"worker exited", "worker=" + std::to_string(pid)});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_session_of_the_old_generation_finishes_its_message) {
    Daemon server({.keys = "workers = 1\n", .sections = listener("echo", "probe"), .probe = true});
    server.start();
    const std::string old = std::to_string(server.worker("main/0"));
    Client client(server.address());
    BOOST_TEST(client.ask("pid") == old);
    client.send("half a ");
    server.send(SIGHUP);
    server.wait_for_line({"worker drains", "worker=" + old});
    BOOST_TEST(Client(server.address()).ask("pid") ==
               std::to_string(server.worker("main/0 gen 2")));
    client.send("line\n");
    BOOST_TEST(client.receive_rest() == "half a line\n");
    server.wait_for_line({"worker exited", "worker=" + old, "exit status 0"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_faulty_file_changes_nothing_and_is_told_with_its_line) {
    Daemon server;
    server.start();
    const auto workers = server.workers();
    server.configure("wokers = 3\n", listener("echo"));
    server.send(SIGHUP);
    check_refused(server, workers, {"error", "test.conf:4", "unknown key 'wokers'"});
    server.configure(listener("web", "http"));
    server.send(SIGHUP);
    check_refused(server, workers, {"the key 'root' is missing; add a line such as: root = "});
    server.configure(listener("echo"));
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_missing_file_changes_nothing) {
    Daemon server;
    server.start();
    const auto workers = server.workers();
    BOOST_REQUIRE(::unlink(server.config_file().c_str()) == 0);
    server.send(SIGHUP);
    check_refused(server, workers, {"test.conf", "No such file"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_a_reload_cannot_change_is_named_and_refused) {
    Daemon server;
    server.start();
    const auto workers = server.workers();
    server.configure("umask = 0077\n", listener("echo"));
    server.send(SIGHUP);
    check_refused(server, workers, {"test.conf:4", "umask"});
    BOOST_TEST(status_of(server.pid())["Umask"] == "0027");
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_address_in_use_changes_nothing) {
    const auto taken = listen_at(own_ip() + ":0");
    Daemon server;
    server.start();
    const auto workers = server.workers();
    server.configure(listener("echo") +
                     "[listen.more]\nservice = echo\naddress = " + address_of(taken) + "\n");
    server.send(SIGHUP);
    check_refused(server, workers, {address_of(taken)});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_new_worker_that_cannot_start_changes_nothing) {
    GatedServer gated;
    const auto workers = gated.server.workers();
    gated.server.send(SIGHUP);
    gated.gate.next().fail("the moon is full");
    check_refused(gated.server, workers, {"main/0", "the moon is full"});
    gated.server.stop();
}

BOOST_AUTO_TEST_CASE(a_new_worker_that_crashes_changes_nothing) {
    GatedServer gated;
    const auto workers = gated.server.workers();
    gated.server.send(SIGHUP);
    gated.gate.next().die(SIGSEGV);
    check_refused(gated.server, workers, {"main/0", "signal 11"});
    gated.server.stop();
}

BOOST_AUTO_TEST_CASE(a_new_worker_that_hangs_changes_nothing) {
    GatedServer gated;
    const auto workers = gated.server.workers();
    gated.server.configure("workers = 1\nready_timeout = 1s\n", gate_section(gated.gate));
    gated.server.send(SIGHUP);
    const Visitor newcomer = gated.gate.next();
    check_refused(gated.server, workers, {"main/0", "was not ready within ready_timeout"});
    newcomer.process().wait_for_end();
    gated.server.stop();
}

BOOST_AUTO_TEST_CASE(hups_during_a_reload_become_one_more) {
    GatedServer gated;
    Daemon& server = gated.server;
    server.send(SIGHUP);
    Visitor second = gated.gate.next();
    for (int i = 0; i < 5; ++i) {
        server.process().send(SIGHUP);
        server.process().send(SIGTTIN);  // ignored in a reload
    }
    second.pass();
    Visitor third = gated.gate.next();
    server.wait_for_line({"reload ok", "generation=2"});
    third.pass();
    server.wait_for_line({"reload ok", "generation=3"});
    // A worker of its own would come to the gate for any further reload; TERM is handled after it.
    server.process().send(SIGTERM);
    BOOST_TEST(server.outcome().exit == exited(0));
    BOOST_TEST(server.count_lines({"reload begins"}) == 2u);
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(a_death_in_the_old_generation_does_not_disturb_a_reload) {
    GatedServer gated;
    Daemon& server = gated.server;
    const Process old(server.worker("main/0 gen 1"));
    server.send(SIGHUP);
    Visitor newcomer = gated.gate.next();
    old.send(SIGKILL);
    Visitor substitute = gated.gate.next();
    BOOST_TEST(title_of(substitute.pid()) == "probed: worker main/0 gen 1");
    newcomer.pass();
    server.wait_for_line({"reload ok", "generation=2"});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    substitute.process().wait_for_end();
    server.stop();
}

BOOST_AUTO_TEST_CASE(listeners_come_and_go) {
    Daemon server;
    server.start();
    const std::string kept = server.address("echo");
    server.configure(listener("echo") + listener("more"));
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    const std::string added = server.address("more");
    BOOST_TEST(server.address("echo") == kept);
    BOOST_TEST(Client(added).ask("new") == "new");
    const auto second_generation = server.workers();
    server.configure(listener("echo"));
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    server.wait_for_line({"worker exited", "slot=main/0", "generation=2"});
    server.wait_for_line({"worker exited", "slot=main/1", "generation=2"});
    BOOST_TEST(try_to_connect(added) == ECONNREFUSED);
    BOOST_TEST(Client(kept).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_pool_comes_and_goes) {
    Daemon server({.keys = "workers = 1\n"});
    server.start();
    server.configure(listener("echo") + listener("own", "echo", "workers = 2\n"));
    server.send(SIGHUP);
    server.wait_for_line({"worker exited", "slot=main/0", "generation=1"});
    BOOST_TEST(server.workers().size() == 3);
    (void)server.worker("own/1 gen 2");
    BOOST_TEST(Client(server.address("own")).ask("hello") == "hello");
    server.configure(listener("echo"));
    server.send(SIGHUP);
    for (const char* const slot : {"slot=main/0", "slot=own/0", "slot=own/1"})
        server.wait_for_line({"worker exited", slot, "generation=2"});
    BOOST_TEST(title_of(server.workers().at(0)) == "preforkd: worker main/0 gen 3");
    BOOST_TEST(server.workers().size() == 1);
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_number_of_workers_changes) {
    Daemon server;
    server.start();
    server.configure("workers = 3\n", listener("echo"));
    server.send(SIGHUP);
    server.wait_for_line({"worker exited", "slot=main/0", "generation=1"});
    server.wait_for_line({"worker exited", "slot=main/1", "generation=1"});
    BOOST_TEST(server.workers().size() == 3);
    server.configure("workers = 1\n", listener("echo"));
    server.send(SIGHUP);
    for (const char* const slot : {"slot=main/0", "slot=main/1", "slot=main/2"})
        server.wait_for_line({"worker exited", slot, "generation=2"});
    BOOST_TEST(server.workers().size() == 1);
    server.stop();
}

BOOST_AUTO_TEST_CASE(clients_that_come_during_reloads_are_all_served) {
    Daemon server;
    server.start();
    const std::string address = server.address();
    for (int generation = 2; generation <= 6; ++generation) {
        server.send(SIGHUP);
        for (int i = 0; i < 50; ++i) BOOST_TEST(Client(address).ask("hello") == "hello");
        server.wait_for_line({"reload ok", "generation=" + std::to_string(generation)});
    }
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
