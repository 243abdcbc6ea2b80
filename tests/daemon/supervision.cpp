#include <boost/test/unit_test.hpp>
#include <csignal>

#include "client.hpp"
#include "daemon.hpp"
#include "gate.hpp"

// Workers that die, hang or misbehave, and a master that is mistreated.

using namespace preforkd::testing;

namespace {

std::string worker_is(pid_t pid) {
    return "worker=" + std::to_string(pid);
}

/// Waits until somebody else is READY in the slot of `before`, and gives its pid.
pid_t successor_of(Daemon& server, pid_t before, const std::string& slot) {
    server.wait_for_line({"worker exited", "slot=" + slot + " ", worker_is(before)});
    server.wait_for_line({"worker ready", "slot=" + slot + " "});
    return server.worker(slot);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(supervision)

BOOST_AUTO_TEST_CASE(a_killed_worker_is_replaced_and_its_death_told) {
    Daemon server;
    server.start();
    const pid_t other = server.worker("main/0");
    const Process victim(server.worker("main/1"));
    server.mark();
    victim.send(SIGKILL);
    const std::string line = server.wait_for_line({"worker exited"});
    BOOST_TEST(holds_all(line, {"warning", "slot=main/1", worker_is(victim.pid()), "generation=1",
                                "signal 9 (Killed)", "uptime="}),
               line);
    const std::string hint = server.wait_for_line({"killed by SIGKILL, and not by its master"});
    BOOST_TEST(holds_all(hint, {"warning", "memory ran out", "journalctl -k", "slot=main/1",
                                "'Killed process " + std::to_string(victim.pid()) + "'"}),
               hint);
    const pid_t successor = successor_of(server, victim.pid(), "main/1");
    BOOST_TEST(successor != victim.pid());
    BOOST_TEST(title_of(successor) == "preforkd: worker main/1 gen 1");
    BOOST_TEST(server.worker("main/0") == other);
    BOOST_TEST(server.workers().size() == 2);
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_crashing_worker_is_replaced_and_its_signal_told) {
    Daemon server({.keys = "workers = 1\n", .sections = listener("echo", "probe"), .probe = true});
    server.start();
    const pid_t before = server.worker("main/0");
    server.mark();
    Client client(server.address());
    client.send("die 11\n");
    BOOST_TEST(client.receive_rest() == "");
    BOOST_TEST(holds_all(server.wait_for_line({"worker exited"}),
                         {worker_is(before), "signal 11 (Segmentation fault)"}));
    successor_of(server, before, "main/0");
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_exit_status_is_told) {
    Daemon server({.keys = "workers = 1\n", .sections = listener("echo", "probe"), .probe = true});
    server.start();
    server.mark();
    Client(server.address()).send("exit 7\n");
    BOOST_TEST(holds_all(server.wait_for_line({"worker exited"}), {"warning", "exit status 7"}));
    server.wait_for_line({"worker ready"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_exception_that_ends_a_worker_is_told_and_the_worker_replaced) {
    Daemon server({.keys = "workers = 1\n", .sections = listener("echo", "probe"), .probe = true});
    server.start();
    for (const bool is_reload : {true, false}) {
        const Process before(server.worker("main/0"));
        BOOST_TEST(Client(server.address()).ask("throw_at_stop the sky fell") == "ok");
        server.mark();
        is_reload ? server.send(SIGHUP) : before.send(SIGTERM);
        const std::string line = server.wait_for_line({"worker has failed"});
        BOOST_TEST(holds_all(line, {" error ", "slot=main/0", worker_is(before.pid()),
                                    "why=\"the sky fell\""}),
                   line);
        successor_of(server, before.pid(), "main/0");
        BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    }
    BOOST_TEST(run_preforkctl(server.lock_file(), {"status"}).printed.find("2 crashed") !=
               std::string::npos);
    server.stop();
}

BOOST_AUTO_TEST_CASE(connections_wait_out_the_death_of_the_only_worker) {
    Gate gate;
    Daemon server({.keys = "workers = 1\n",
                   .sections = listener("echo", "probe", "gate = " + gate.name() + "\n"),
                   .probe = true});
    server.begin();
    gate.next().pass();
    server.wait_for_note({"READY=1"});
    Process(server.worker("main/0")).send(SIGKILL);
    Visitor successor = gate.next();  // nobody serves now
    Client client(server.address());
    client.send("hello\n");
    successor.pass();
    BOOST_TEST(client.receive_line() == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_slot_whose_workers_keep_dying_is_never_given_up) {
    Gate gate;
    Daemon server({.keys = "workers = 1\n",
                   .sections = listener("echo", "probe", "gate = " + gate.name() + "\n"),
                   .probe = true});
    server.begin();
    gate.next().pass();
    server.wait_for_note({"READY=1"});
    server.mark();
    Process(server.worker("main/0")).send(SIGKILL);
    gate.next().exit(1);
    gate.next().fail("not yet");
    gate.next().die(SIGABRT);
    gate.next().pass();
    server.wait_for_line({"worker ready"});
    BOOST_TEST(server.count_lines({"worker exited"}) == 4u);
    BOOST_TEST(server.count_lines({"worker can't start", "not yet"}) == 1u);
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_breaks_the_channels_rules_is_killed_and_replaced) {
    Daemon server({.keys = "workers = 1\n", .sections = listener("echo", "probe"), .probe = true});
    server.start();
    const pid_t before = server.worker("main/0");
    server.mark();
    Client(server.address()).send("misbehave\n");
    server.wait_for_line({"invalid message", worker_is(before)});
    BOOST_TEST(holds_all(server.wait_for_line({"worker exited"}), {"signal 9 (Killed)"}));
    BOOST_TEST(successor_of(server, before, "main/0") != before);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_somebody_terminates_finishes_and_is_replaced) {
    Daemon server({.keys = "workers = 1\n", .sections = listener("echo", "probe"), .probe = true});
    server.start();
    const Process worker(server.worker("main/0"));
    Client client(server.address());
    BOOST_TEST(client.ask("hello") == "hello");
    client.send("half a ");
    server.mark();
    worker.send(SIGTERM);
    client.send("line\n");
    BOOST_TEST(client.receive_line() == "half a line");
    server.wait_for_line({"worker exited", worker_is(worker.pid()), "exit status 0"});
    BOOST_TEST(successor_of(server, worker.pid(), "main/0") != worker.pid());
    server.stop();
}

BOOST_AUTO_TEST_CASE(ttin_and_ttou_add_and_take_a_worker) {
    Daemon server;
    server.start();
    server.send(SIGTTIN);
    server.wait_for_line({"worker ready", "slot=main/2"});
    BOOST_TEST(server.workers().size() == 3);
    server.send(SIGTTOU);
    server.wait_for_line({"worker exited", "slot=main/2", "exit status 0"});
    BOOST_TEST(server.workers().size() == 2);
    server.stop();
}

BOOST_AUTO_TEST_CASE(ttin_and_ttou_that_come_to_nothing_are_told_why) {
    Daemon server(
        {.keys = "shutdown_delay = 1h\n", .sections = listener("echo", "echo", "workers = 1\n")});
    server.start();
    server.send(SIGTTIN);
    server.wait_for_line({"warning", "no worker more why=\"every listener has workers of its own"});
    BOOST_TEST(server.workers().size() == 1);

    server.configure("workers = 1\nshutdown_delay = 1h\n", listener("echo"));
    server.send(SIGHUP);
    server.wait_for_note({"READY=1", "X_PREFORKD_GENERATION=2"});
    server.send(SIGTERM);
    server.wait_for_note({"STOPPING=1"});
    server.send(SIGTTIN);
    server.wait_for_line({"warning", "no worker more why=\"the server is leaving\""});
    server.stop();
}

BOOST_AUTO_TEST_CASE(ttou_leaves_the_last_worker) {
    Daemon server({.keys = "workers = 1\n"});
    server.start();
    const Process last(server.worker("main/0"));
    server.send(SIGTTOU);
    last.send(SIGKILL);  // seen with it or after it
    BOOST_TEST(successor_of(server, last.pid(), "main/0") != last.pid());
    BOOST_TEST(server.count_lines({"worker drains"}) == 0u);
    BOOST_TEST(server.count_lines({"no worker fewer", "most or the fewest"}) == 1u);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_stopped_and_continued_server_goes_on) {
    Daemon server;
    server.start();
    const auto workers = server.workers();
    server.process().send(SIGSTOP);
    for (const pid_t worker : workers) Process(worker).send(SIGSTOP);
    for (const pid_t worker : workers) Process(worker).send(SIGCONT);
    server.process().send(SIGCONT);
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.send(SIGTTIN);
    server.wait_for_line({"worker ready", "slot=main/2"});
    for (const pid_t worker : workers) BOOST_TEST(stat_of(worker).parent == server.pid());
    server.stop();
}

BOOST_AUTO_TEST_CASE(signals_without_a_meaning_do_nothing) {
    Daemon server;
    server.start();
    const auto workers = server.workers();
    for (const int signal : {SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGTSTP,
                             SIGURG, SIGRTMIN, SIGRTMAX})
        server.process().send(signal);
    for (const int signal : {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGRTMIN})
        for (const pid_t worker : workers) Process(worker).send(signal);
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.send(SIGTTIN);
    server.wait_for_line({"worker ready", "slot=main/2"});
    for (const pid_t worker : workers) BOOST_TEST(stat_of(worker).parent == server.pid());
    server.stop();
}

BOOST_AUTO_TEST_CASE(workers_of_a_killed_master_finish_and_go) {
    Daemon server({.keys = "workers = 1\nkeepalive_grace = 0s\n",
                   .sections = listener("echo", "probe"),
                   .probe = true});
    server.start();
    const Process worker(server.worker("main/0"));
    Client client(server.address());
    BOOST_TEST(client.ask("hello") == "hello");
    client.send("half a ");
    Client idle(server.address());
    BOOST_TEST(idle.ask("hello") == "hello");
    server.process().send(SIGKILL);
    BOOST_TEST(server.process().reap() == killed_by(SIGKILL));
    BOOST_TEST(idle.receive_rest() == "");  // so by now it drains
    BOOST_TEST(try_to_connect(server.address()) == ECONNREFUSED);
    client.send("line\n");
    BOOST_TEST(client.receive_rest() == "half a line\n");
    worker.wait_for_end();
}

BOOST_AUTO_TEST_CASE(after_a_killed_master_the_same_port_serves_again_at_once) {
    Daemon server;
    server.start();
    const std::string address = server.address();
    Client client(address);
    BOOST_TEST(client.ask("hello") == "hello");
    server.configure("[listen.echo]\nservice = echo\naddress = " + address + "\n");
    server.process().send(SIGKILL);
    BOOST_TEST(server.process().reap() == killed_by(SIGKILL));
    server.start();
    BOOST_TEST(server.address() == address);
    BOOST_TEST(Client(address).ask("anyone?") == "anyone?");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
