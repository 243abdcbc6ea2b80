#include <sys/resource.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>

#include "client.hpp"
#include "crowd.hpp"
#include "daemon.hpp"
#include "gate.hpp"
#include "needs_ipv6.hpp"
#include "needs_root.hpp"
#include "needs_sandbox.hpp"

// Each worker has a listening socket of its own; clients are steered to those that can serve them,
// and a socket that goes serves whom it has.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

const std::string debug = "log_level = debug\n";

std::string probe_section(const std::string& more = "") {
    return listener("echo", "probe", more);
}

/// The listening sockets of a worker: those that it has besides its channel.
std::set<std::string> sockets_of(pid_t worker) {
    std::set<std::string> sockets;
    for (const auto& [number, what] : descriptors_of(worker))
        if (number > 3 && what.starts_with("socket:[")) sockets.insert(what);
    return sockets;
}

/// Who serves so many clients, one after the other.
std::set<std::string> servers_of(const std::string& address, int clients = 60) {
    std::set<std::string> pids;
    for (int i = 0; i < clients; ++i) pids.insert(Client(address).ask("pid"));
    return pids;
}

std::set<std::string> pids_of(const std::vector<pid_t>& workers) {
    std::set<std::string> pids;
    for (const pid_t pid : workers) pids.insert(std::to_string(pid));
    return pids;
}

void check_served_by(const std::string& address, const std::set<std::string>& pids) {
    BOOST_TEST(servers_of(address) == pids, boost::test_tools::per_element());
}

/// As many clients as needed for each of the workers, which are stopped, to have one in its queue.
std::vector<Client> fill_queues(const std::string& address) {
    std::vector<Client> clients;
    for (int i = 0; i < 40; ++i) clients.emplace_back(address);
    return clients;
}

void check_all_served(std::vector<Client>& clients) {
    for (Client& client : clients) BOOST_TEST(client.ask("hello") == "hello");
    clients.clear();
}

struct Stopped {
    explicit Stopped(pid_t pid) : process(pid) { process.send(SIGSTOP); }
    ~Stopped() { go_on(); }
    void go_on() const { process.send(SIGCONT); }
    Process process;
};

Setup two_probes(const std::string& keys = "") {
    return {.keys = "workers = 2\n" + debug + keys, .sections = probe_section(), .probe = true};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(slots)

BOOST_AUTO_TEST_CASE(a_slot_keeps_its_socket_over_generations, *precondition(needs_root)) {
    Daemon server;
    server.start();
    const auto first = sockets_of(server.worker("main/0")),
               second = sockets_of(server.worker("main/1"));
    BOOST_TEST(first.size() == 1u);
    BOOST_TEST((first != second));
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST((sockets_of(server.worker("main/0 gen 2")) == first));
    BOOST_TEST((sockets_of(server.worker("main/1 gen 2")) == second));
    server.stop();
}

BOOST_AUTO_TEST_CASE(accept_shared_gives_all_workers_one_socket, *precondition(needs_root)) {
    Daemon server({.keys = "workers = 2\naccept = shared\n"});
    server.start();
    BOOST_TEST((sockets_of(server.worker("main/0")) == sockets_of(server.worker("main/1"))));
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(clients_are_spread_over_all_workers) {
    Daemon server(two_probes());
    server.start();
    check_served_by(server.address(), pids_of(server.workers()));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_slot_without_a_ready_worker_gets_no_clients) {
    Gate gate;
    Daemon server({.keys = "workers = 2\n",
                   .sections = probe_section("gate = " + gate.name() + "\n"),
                   .probe = true});
    server.begin();
    gate.pass(2);
    server.wait_for_note({"READY=1"});
    const pid_t lives = server.worker("main/0");
    Process(server.worker("main/1")).send(SIGKILL);
    Visitor successor = gate.next();  // it is not ready before it passes
    check_served_by(server.address(), pids_of({lives}));
    server.mark();
    successor.pass();
    server.wait_for_line({"worker ready", "slot=main/1"});
    check_served_by(server.address(), pids_of({lives, successor.pid()}));
    server.stop();
}

// Not under sanitizers, whose own checks fail without descriptors.
BOOST_AUTO_TEST_CASE(a_full_worker_gets_no_clients_until_it_has_room,
                     *boost::unit_test::precondition(needs_sandbox)) {
    Setup setup = two_probes();
    setup.parent = [] {
        const rlimit few{64, 64};
        if (::setrlimit(RLIMIT_NOFILE, &few) < 0) ::_exit(96);
    };
    Daemon server(setup);
    server.start();
    const std::string other = std::to_string(server.worker("main/1"));
    // They come until the first can't take another; those of the other go, so that it has room.
    std::vector<Client> clients;
    for (int number = 0; server.count_lines({"worker is full"}) == 0; ++number) {
        BOOST_REQUIRE(number < 200);
        const std::string name = "number-" + std::to_string(number) + "-";
        clients.emplace_back(server.address()).send("log " + name + "\n");
        server.wait_for("a client served, or a full worker", [&] {
            return server.count_lines({name}) > 0 || server.count_lines({"worker is full"}) > 0;
        });
        if (server.count_lines({" " + other + " ", name}) > 0) clients.pop_back();
    }
    BOOST_TEST(holds_all(server.wait_for_line({"worker is full"}), {"slot=main/0"}));
    for (int i = 0; i < 5; ++i) BOOST_TEST(Client(server.address()).ask("pid") == other);
    clients.clear();
    server.wait_for_line({"worker has room"});
    check_served_by(server.address(), pids_of(server.workers()));
    server.stop();
}

BOOST_AUTO_TEST_CASE(where_no_worker_is_ready_clients_wait_for_the_first) {
    Gate gate;
    Daemon server({.keys = "workers = 2\n",
                   .sections = probe_section("gate = " + gate.name() + "\n"),
                   .probe = true});
    server.begin();
    gate.pass(2);
    server.wait_for_note({"READY=1"});
    for (const pid_t pid : server.workers()) Process(pid).send(SIGKILL);
    Visitor first = gate.next(), second = gate.next();
    auto clients = fill_queues(server.address());
    first.pass();
    second.pass();
    check_all_served(clients);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_new_slot_gets_clients_and_a_leaving_one_serves_its_queue) {
    Daemon server(two_probes());
    server.start();
    const pid_t first = server.worker("main/0");
    server.send(SIGTTIN);
    server.wait_for_line({"worker ready", "slot=main/2"});
    const pid_t third = server.worker("main/2");
    check_served_by(server.address(), pids_of(server.workers()));
    const Stopped stopped(third);
    auto clients = fill_queues(server.address());
    server.send(SIGTTOU);
    server.wait_for_line({"worker drains", "slot=main/2"});
    // No newcomer goes there any more, though it still accepts.
    const auto servers = servers_of(server.address());
    BOOST_TEST(servers.count(std::to_string(third)) == 0u);
    BOOST_TEST(servers.count(std::to_string(first)) == 1u);
    stopped.go_on();
    check_all_served(clients);
    server.wait_for_line({"listening socket closed", "slot=2"});
    server.wait_for_line({"worker exited", "slot=main/2", "exit status 0"});
    BOOST_TEST(server.count_lines({"clients waiting"}) == 0u);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_slot_that_is_wanted_again_keeps_its_socket, *precondition(needs_root)) {
    Daemon server(two_probes());
    server.start();
    const auto socket = sockets_of(server.worker("main/1"));
    const Stopped stopped(server.worker("main/1"));
    auto clients = fill_queues(server.address());
    server.send(SIGTTOU);
    server.wait_for_line({"worker drains", "slot=main/1"});
    server.send(SIGTTIN);
    server.wait_for_line({"worker ready", "slot=main/1"});
    stopped.go_on();
    check_all_served(clients);
    server.wait_for_line({"worker exited", "worker=" + std::to_string(stopped.process.pid())});
    BOOST_TEST((sockets_of(server.worker("main/1")) == socket));
    BOOST_TEST(server.count_lines({"listening socket closed"}) == 0u);
    check_served_by(server.address(), pids_of(server.workers()));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_silent_client_of_a_leaving_slot_is_served) {
    // The client of a listener with deferred accept has connected, but the kernel tells nobody
    // before it speaks: it is in no queue.
    Daemon server(
        {.keys = "workers = 2\n" + debug, .sections = listener("web", "http", "root = site\n")});
    std::filesystem::create_directory(server.folder() / "site");
    std::ofstream(server.folder() / "site/page") << "the page\n";
    server.start();
    std::vector<Client> silent;
    for (int i = 0; i < 20; ++i) silent.emplace_back(server.address("web"));
    server.send(SIGTTOU);
    server.wait_for_line({"worker drains", "slot=main/1"});
    for (Client& client : silent) {
        client.send("GET /page HTTP/1.1\r\nHost: test\r\n\r\n");
        BOOST_TEST(client.receive_line() == "HTTP/1.1 200 OK\r");
    }
    silent.clear();
    server.wait_for_line({"worker exited", "slot=main/1", "exit status 0"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(after_the_verdict_no_newcomer_meets_the_old_generation) {
    Daemon server(two_probes());
    server.start();
    for (int generation = 2; generation < 10; ++generation) {
        const auto old = pids_of(server.workers());
        server.send(SIGHUP);
        server.wait_for_note({"READY=1", "X_PREFORKD_GENERATION=" + std::to_string(generation)});
        for (const std::string& pid : servers_of(server.address(), 20))
            BOOST_TEST(old.count(pid) == 0u);
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_verdict_does_not_wait_for_a_worker_that_hangs) {
    Daemon server(two_probes());
    server.start();
    const Stopped stopped(server.worker("main/0"));
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    stopped.go_on();
    server.wait_for_line({"worker exited", "worker=" + std::to_string(stopped.process.pid())});
    server.stop();
}

BOOST_AUTO_TEST_CASE(resizing_and_changing_the_way_of_accepting_loses_nobody) {
    Daemon server;
    server.start();
    Crowd crowd(server.address()), another(server.address());
    unsigned generation = 1;
    for (const char* const keys :
         {"workers = 8\n", "workers = 2\n", "workers = 2\naccept = shared\n", "workers = 4\n",
          "workers = 1\n", "workers = 3\naccept = shared\n", "workers = 2\n"}) {
        server.configure(keys, listener("echo"));
        server.send(SIGHUP);
        server.wait_for_line({"reload ok", "generation=" + std::to_string(++generation)});
    }
    for (int i = 0; i < 6; ++i) {
        server.send(SIGTTIN);
        server.wait_for_line({"worker ready", "slot=main/" + std::to_string(2 + i)});
    }
    for (int i = 5; i >= 0; --i) {
        server.send(SIGTTOU);
        server.wait_for_line({"worker exited", "slot=main/" + std::to_string(2 + i)});
    }
    BOOST_TEST(crowd.leave() == "");
    BOOST_TEST(another.leave() == "");
    BOOST_TEST(crowd.served() > 0u);
    BOOST_TEST(server.workers().size() == 2u);
    BOOST_TEST(server.count_lines({"clients waiting"}) == 0u);
    server.stop();
}

BOOST_AUTO_TEST_CASE(moving_between_pools_loses_nobody) {
    Daemon server;
    server.start();
    Crowd crowd(server.address());
    for (unsigned generation = 2; generation < 6; ++generation) {
        const bool own = generation % 2 == 0;
        server.configure(listener("echo", "echo", own ? "workers = 3\n" : "") + listener("other"));
        server.send(SIGHUP);
        server.wait_for_line({"reload ok", "generation=" + std::to_string(generation)});
    }
    BOOST_TEST(crowd.leave() == "");
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_abandoned_reload_takes_its_slots_away_again) {
    Gate gate;
    Daemon server({.keys = "workers = 1\n" + debug, .sections = probe_section(), .probe = true});
    server.start();
    Crowd crowd(server.address());
    server.configure("workers = 3\n" + debug, probe_section("gate = " + gate.name() + "\n"));
    server.send(SIGHUP);
    Visitor one = gate.next(), two = gate.next(), three = gate.next();
    one.pass();
    two.pass();
    server.wait_for_line({"worker ready", "worker=" + std::to_string(two.pid())});
    three.fail("no reason");
    server.wait_for_line({"reload refused"});
    server.wait_for_line({"listening socket closed", "slot=1"});
    server.wait_for_line({"listening socket closed", "slot=2"});
    BOOST_TEST(crowd.leave() == "");
    check_served_by(server.address(), pids_of({server.worker("main/0 gen 1")}));
    server.stop();
}

BOOST_AUTO_TEST_CASE(ipv6_has_slots_too, *precondition(needs_ipv6)) {
    Daemon server({.keys = "workers = 2\n",
                   .sections = "[listen.echo]\naddress = [::1]:0\nservice = probe\n",
                   .probe = true});
    server.start();
    check_served_by(server.address(), pids_of(server.workers()));
    server.send(SIGTTOU);
    server.wait_for_line({"worker exited", "slot=main/1"});
    check_served_by(server.address(), pids_of({server.worker("main/0")}));
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
