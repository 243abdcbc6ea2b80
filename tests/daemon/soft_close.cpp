#include <sys/socket.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <functional>

#include "client.hpp"
#include "crowd.hpp"
#include "daemon.hpp"
#include "deadline.hpp"
#include "needs_root.hpp"
#include "shared/address.hpp"

// A listener that goes away, by a reload or for good, refuses nobody who has connected, and late
// clients wait for whoever listens there next. Each test comes with root, which drops connection
// requests by a filter, and without, which does it by a full queue.

using namespace preforkd::testing;
using preforkd::UniqueFd;

namespace {

/// A client whose connection may not come about for a while.
class LateClient {
  public:
    explicit LateClient(const std::string& address) {
        const auto parsed = preforkd::parse_address(
            address, "/",
            [](const std::string&, std::uint16_t) { return preforkd::ParsedAddress{}; });
        const preforkd::Address& there = parsed.addresses.at(0);
        socket_.reset(::socket(there.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (::connect(socket_.get(), there.get(), there.length) < 0) error_ = errno;
    }
    /// Neither connected nor refused.
    [[nodiscard]] bool waits() const {
        pollfd question{socket_.get(), POLLOUT, 0};
        return error_ == EINPROGRESS && ::poll(&question, 1, 0) == 0;
    }
    void check_served() {
        BOOST_REQUIRE(wait_for(socket_.get(), POLLOUT, Deadline()));
        BOOST_REQUIRE(::send(socket_.get(), "late\n", 5, MSG_NOSIGNAL) == 5);
        BOOST_REQUIRE(wait_for(socket_.get(), POLLIN, Deadline()));
        char answer[16];
        BOOST_TEST(::recv(socket_.get(), answer, sizeof answer, 0) == 5);
    }

  private:
    UniqueFd socket_;
    int error_ = 0;
};

/// The same test with all rights and with none.
void with_and_without_root(const std::function<void(Setup)>& test, Setup setup = {}) {
    test(setup);
    if (::geteuid() != 0) return;
    setup.parent = become_nobody;
    BOOST_TEST_CONTEXT("as nobody") {
        test(setup);
    }
}

/// A server of that setup; if it is to run as nobody, its folder is nobody's.
struct Server : Daemon {
    explicit Server(Setup setup) : Daemon(setup) {
        if (setup.parent) give_to(nobody, nobody);
        start();
    }
    void wait_for_closing() {
        const std::string line = wait_for_line({"listener closing"});
        BOOST_TEST(holds_all(line, {"new clients wait for a successor"}), line);
    }
};

std::string section_at(const std::string& name, const std::string& address) {
    return "[listen." + name + "]\nservice = echo\naddress = " + address + "\n";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(soft_close)

BOOST_AUTO_TEST_CASE(a_removed_listener_serves_whom_it_has) {
    with_and_without_root(
        [](Setup setup) {
            Server server(setup);
            const std::string address = server.address("more"), kept = server.address("echo");
            const Process old(server.worker("main/0"));
            old.send(SIGSTOP);
            Client first(address), second(address);
            server.configure("workers = 1\n", listener("echo"));
            server.send(SIGHUP);
            server.wait_for_closing();
            server.wait_for_line({"reload ok"});
            LateClient late(address);
            BOOST_TEST(late.waits());
            old.send(SIGCONT);
            BOOST_TEST(first.ask("first") == "first");
            BOOST_TEST(second.ask("second") == "second");
            server.wait_for_line({"listener closed", "address=" + address});
            BOOST_TEST(try_to_connect(address) == ECONNREFUSED);
            BOOST_TEST(Client(kept).ask("hello") == "hello");
            server.stop();
        },
        {.keys = "workers = 1\n", .sections = listener("echo") + listener("more")});
}

BOOST_AUTO_TEST_CASE(a_reload_takes_a_listener_back_that_is_not_closed_yet) {
    with_and_without_root(
        [](Setup setup) {
            Server server(setup);
            const std::string address = server.address("more");
            const Process old(server.worker("main/0"));
            old.send(SIGSTOP);
            Client waiting(address);
            server.configure(listener("echo"));
            server.send(SIGHUP);
            server.wait_for_closing();
            LateClient late(address);
            server.wait_for_line({"reload ok"});
            BOOST_TEST(late.waits());
            server.configure(listener("echo") + section_at("again", address));
            server.send(SIGHUP);
            server.wait_for_line({"listener taken back", address});
            server.wait_for_line({"reload ok"});
            BOOST_TEST(server.address("again") == address);
            // Whoever was in its queue is the new generation's by now, and its old worker hangs.
            BOOST_TEST(waiting.ask("waiting") == "waiting");
            late.check_served();
            old.send(SIGCONT);
            server.wait_for_line({"worker exited", "worker=" + std::to_string(old.pid())});
            BOOST_TEST(Client(address).ask("hello") == "hello");
            server.stop();
        },
        {.keys = "workers = 1\n", .sections = listener("echo") + listener("more")});
}

BOOST_AUTO_TEST_CASE(a_removed_unix_socket_serves_whom_it_has) {
    const auto unix_section = section_at("more", "unix:socket");
    Daemon server({.keys = "workers = 2\n", .sections = listener("echo") + unix_section});
    server.start();
    const std::string address = server.address("more");
    const Process one(server.worker("main/0")), two(server.worker("main/1"));
    one.send(SIGSTOP);
    two.send(SIGSTOP);
    Client waiting(address);
    server.configure(listener("echo"));
    server.send(SIGHUP);
    server.wait_for_line({"listener closing"});
    BOOST_TEST(try_to_connect(address) == ENOENT);
    one.send(SIGCONT);
    two.send(SIGCONT);
    BOOST_TEST(waiting.ask("hello") == "hello");
    server.wait_for_line({"listener closed", address});
    server.stop();
}

BOOST_AUTO_TEST_CASE(after_term_a_successor_gets_late_clients) {
    with_and_without_root(
        [](Setup setup) {
            Server server(setup);
            const std::string address = server.address();
            const Process one(server.worker("main/0")), two(server.worker("main/1"));
            one.send(SIGSTOP);
            two.send(SIGSTOP);
            std::vector<Client> clients;
            for (int i = 0; i < 20; ++i) clients.emplace_back(address);
            server.send(SIGTERM);
            server.wait_for_closing();
            LateClient late(address);
            BOOST_TEST(late.waits());
            one.send(SIGCONT);
            two.send(SIGCONT);
            for (Client& client : clients) BOOST_TEST(client.ask("hello") == "hello");
            clients.clear();
            server.wait_for_line({"listener closed"});
            Daemon successor({.keys = "workers = 1\n", .sections = section_at("echo", address)});
            successor.start();
            late.check_served();
            BOOST_TEST(server.outcome().exit == exited(0));
            successor.stop();
        },
        {.keys = "workers = 2\nkeepalive_grace = 5s\n"});
}

BOOST_AUTO_TEST_CASE(listeners_that_come_and_go_lose_nobody_of_those_that_stay) {
    Daemon server({.keys = "workers = 2\n"});
    server.start();
    Crowd crowd(server.address());
    for (unsigned generation = 2; generation < 10; ++generation) {
        const bool more = generation % 2 == 0;
        server.configure(listener("echo") + (more ? listener("more") : ""));
        server.send(SIGHUP);
        server.wait_for_line({"reload ok", "generation=" + std::to_string(generation)});
        if (more) BOOST_TEST(Client(server.address("more")).ask("hello") == "hello");
    }
    BOOST_TEST(crowd.leave() == "");
    server.stop();
}

BOOST_AUTO_TEST_CASE(during_the_shutdown_delay_the_server_goes_on_as_before) {
    Daemon server({.keys = "workers = 1\nshutdown_delay = 1h\n"});
    server.start();
    server.send(SIGTERM);
    server.wait_for_note({"STOPPING=1"});
    server.wait_for_note({"STATUS=leaving"});
    Client client(server.address());
    for (int i = 0; i < 3; ++i) BOOST_TEST(client.ask("hello") == "hello");
    Process(server.worker("main/0")).send(SIGKILL);
    server.wait_for_line({"worker ready", "slot=main/0"});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.send(SIGTERM);
    server.wait_for_line({"worker drains"});
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(the_shutdown_delay_ends_by_itself) {
    Daemon server({.keys = "workers = 1\nshutdown_delay = 200ms\n"});
    server.start();
    server.send(SIGTERM);
    server.wait_for_line({"worker drains"});
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_SUITE_END()
