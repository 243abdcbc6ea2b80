#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "client.hpp"
#include "daemon.hpp"
#include "needs_ipv6.hpp"
#include "needs_root.hpp"

// Where a server listens, with whose sockets, and what it says when it can't.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::UniqueFd;

namespace {

std::string listener_at(const std::string& address, const std::string& more = "") {
    return "[listen.echo]\nservice = echo\naddress = " + address + "\n" + more;
}

/// In the child: a service manager's sockets from descriptor 3 up.
void pass(const std::vector<int>& sockets) {
    std::vector<int> moved;
    for (const int socket : sockets) moved.push_back(::fcntl(socket, F_DUPFD, 100));
    for (std::size_t i = 0; i < moved.size(); ++i)
        if (::dup2(moved[i], 3 + static_cast<int>(i)) < 0) ::_exit(96);
}

std::string inode_of(const UniqueFd& socket) {
    return link_of(::getpid(), "fd/" + std::to_string(socket.get()));
}

bool has_open(pid_t pid, const std::string& what) {
    for (const auto& [number, link] : descriptors_of(pid))
        if (link == what) return true;
    return false;
}

constexpr int low_port = 79;

/// Ports below this need a privilege.
boost::test_tools::assertion_result needs_root_and_low_ports(boost::unit_test::test_unit_id test) {
    int first = 1024;
    std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first;
    if (first > low_port) return needs_root(test);
    boost::test_tools::assertion_result result(false);
    result.message() << "here everyone may bind every port";
    return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(listeners)

BOOST_AUTO_TEST_CASE(an_address_in_use_is_told_with_who_uses_it) {
    const UniqueFd taken = listen_at(own_ip() + ":0");
    Daemon server({.sections = listener_at(address_of(taken))});
    server.begin_launch();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(1));
    BOOST_TEST(holds_all(outcome.printed,
                         {"test.conf:7", "listen.echo", "can't listen on " + address_of(taken),
                          "in use by", std::to_string(::getpid())}),
               outcome.printed);
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(every_address_that_cannot_be_had_is_told) {
    const UniqueFd one = listen_at(own_ip() + ":0"), other = listen_at(own_ip() + ":0");
    Daemon server({.sections = listener_at(address_of(one), "address = " + address_of(other) +
                                                                "\naddress = 192.0.2.1:4000\n")});
    server.begin_launch();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(1));
    BOOST_TEST(holds_all(outcome.printed, {address_of(one), address_of(other), "192.0.2.1:4000",
                                           "no interface of this machine has this address"}),
               outcome.printed);
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(another_server_with_the_same_address_is_refused) {
    // Both bind with SO_REUSEPORT, which alone would let the second one take half the traffic.
    Daemon first;
    first.start();
    Daemon second({.sections = listener_at(first.address())});
    second.begin();
    const Outcome outcome = second.outcome();
    BOOST_TEST(outcome.exit == exited(1));
    BOOST_TEST(holds_all(outcome.printed, {"in use by", std::to_string(first.pid())}),
               outcome.printed);
    BOOST_TEST(Client(first.address()).ask("hello") == "hello");
    first.stop();
}

BOOST_AUTO_TEST_CASE(low_ports_need_a_privilege, *precondition(needs_root_and_low_ports)) {
    const std::string address = own_ip() + ":" + std::to_string(low_port);
    Daemon server({.sections = listener_at(address), .parent = become_nobody});
    server.give_to(nobody, nobody);
    server.begin_launch();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(4));
    BOOST_TEST(holds_all(outcome.printed, {address, "ports below", "start as root"}),
               outcome.printed);
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(a_listener_may_have_an_address_of_each_family, *precondition(needs_ipv6)) {
    Daemon server({.sections = listener_at("127.0.0.1:0", "address = [::1]:0\n")});
    server.start();
    BOOST_TEST(Client(server.address("echo", 0)).ask("four") == "four");
    BOOST_TEST(Client(server.address("echo", 1)).ask("six") == "six");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_unix_socket_is_served_and_removed) {
    Daemon server({.sections = listener_at("unix:socket")});
    server.start();
    const std::string path = server.folder() / "socket";
    BOOST_TEST(server.address() == "unix:" + path);
    BOOST_TEST(Client("unix:" + path).ask("hello") == "hello");
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(Client("unix:" + path).ask("again") == "again");
    server.stop();
    BOOST_TEST(!std::filesystem::exists(path));
}

BOOST_AUTO_TEST_CASE(a_stale_unix_socket_is_no_hindrance_and_a_live_one_is) {
    Daemon server({.sections = listener_at("unix:socket")});
    server.start();
    Daemon second({.sections = listener_at("unix:" + server.folder() / "socket")});
    second.begin();
    BOOST_TEST(second.outcome().exit == exited(1));
    server.process().send(SIGKILL);
    BOOST_TEST(server.process().reap() == killed_by(SIGKILL));
    server.start();
    BOOST_TEST(Client("unix:" + server.folder() / "socket").ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_the_service_manager_passes_is_used) {
    UniqueFd passed = listen_at(own_ip() + ":0");
    const std::string address = address_of(passed), inode = inode_of(passed);
    Setup setup;
    setup.sections = listener_at(address);
    setup.environment = {std::string("LISTEN_PID=") + own_pid, "LISTEN_FDS=1"};
    setup.parent = [&] { pass({passed.get()}); };
    Daemon server(setup);
    server.begin();
    server.wait_for_note({"READY=1"});
    passed.reset();
    BOOST_TEST(has_open(server.pid(), inode));
    BOOST_TEST(server.address() == address);
    BOOST_TEST(Client(address).ask("hello") == "hello");
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(has_open(server.pid(), inode));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_passed_socket_that_is_shut_down_is_told_with_what_to_do) {
    UniqueFd passed = listen_at(own_ip() + ":0");
    const std::string address = address_of(passed);
    Setup setup;
    setup.sections = listener_at(address) + listener("other");
    setup.environment = {std::string("LISTEN_PID=") + own_pid, "LISTEN_FDS=1"};
    setup.parent = [&] { pass({passed.get()}); };
    Daemon server(setup);
    server.begin();
    server.wait_for_note({"READY=1"});
    BOOST_TEST(::shutdown(passed.get(), SHUT_RD) == 0);
    server.wait_for_line({" error ", "restart its socket unit", address});
    BOOST_TEST(Client(server.address("other")).ask("hello") == "hello");
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(server.count_lines({"restart its socket unit"}) == 0u);  // once is enough
    BOOST_TEST(Client(server.address("other")).ask("hello") == "hello");
    passed.reset();
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_is_passed_but_not_configured_is_closed_and_told) {
    Pipe held;
    UniqueFd passed = listen_at(own_ip() + ":0");
    const std::string address = address_of(passed);
    Setup setup;
    setup.environment = {std::string("LISTEN_PID=") + own_pid, "LISTEN_FDS=2"};
    setup.parent = [&] { pass({passed.get(), held.writing.get()}); };
    Daemon server(setup);
    server.start();
    server.inbox().gather();
    BOOST_TEST(holds_all(server.inbox().whole_log(), {"passed a socket for " + address,
                                                      "descriptor 4 that the service manager"
                                                      " passed (LISTEN_FDS) is no listening"}));
    held.writing.reset();
    BOOST_TEST(read_until_closed(held.reading) == "");
    passed.reset();
    BOOST_TEST(try_to_connect(address) == ECONNREFUSED);
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_was_passed_to_somebody_else_is_closed) {
    // LISTEN_PID names the process that the sockets are for: a parent of ours here.
    UniqueFd passed = listen_at(own_ip() + ":0");
    const std::string address = address_of(passed);
    Daemon server(
        {.environment = {"LISTEN_PID=1", "LISTEN_FDS=1"}, .parent = [&] { pass({passed.get()}); }});
    server.start();
    passed.reset();
    BOOST_TEST(try_to_connect(address) == ECONNREFUSED);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_gets_only_the_listeners_of_its_pool, *precondition(needs_root)) {
    Daemon server({.keys = "workers = 1\n",
                   .sections = listener("echo") + listener("own", "echo", "workers = 1\n")});
    server.start();
    const auto sockets_of = [](pid_t pid) {
        std::size_t count = 0;
        for (const auto& [number, what] : descriptors_of(pid))
            if (number > 3 && what.starts_with("socket:[")) ++count;
        return count;
    };
    BOOST_TEST(sockets_of(server.worker("main/0")) == 1u);
    BOOST_TEST(sockets_of(server.worker("own/0")) == 1u);
    BOOST_TEST(Client(server.address("own")).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
