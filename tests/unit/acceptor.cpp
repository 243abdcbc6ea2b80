#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/engine_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

task<void> echo_lines(Connection& client) {
    while (auto line = co_await client.read_line()) co_await client.write(*line + "\n");
}

/// Runs `body` in a child process, whose exit status it returns: 0 if `body` gives true.
template <class Body>
int in_child(Body body) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(20);
        ::_exit(body() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

/// Serves with so few descriptors that not all of 20 clients fit, which then leave one by one.
bool serves_all_in_turns() {
    EngineFixture fixture(echo_lines);
    fixture.engine.start_accepting();
    fixture.settle();
    std::vector<Peer> peers;
    for (int i = 0; i < 20; ++i) peers.push_back(Peer::connected_to(fixture.listener));
    // UBSan opens a pipe when it first sees a type; so it sees the logger's before there is none.
    fixture.log.logger.error("before", {{"number", std::uint64_t{1}}});
    const UniqueFd next_free(::dup(0));
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = static_cast<rlim_t>(next_free.get()) + 6;  // 5 beyond those that are open
    ::setrlimit(RLIMIT_NOFILE, &limit);

    std::string told;
    fixture.engine.on_full([&](bool full) { told += full ? "full " : "room "; });
    fixture.settle();
    if (fixture.engine.session_count() != 5 || told != "full ") return false;
    // Paused, it makes no wake-ups of its own.
    if (fixture.engine.poll() != 0) return false;
    fixture.engine.tick();
    fixture.settle();
    if (fixture.engine.session_count() != 5) return false;
    for (std::size_t i = 0; i < peers.size(); ++i) {
        peers[i].send("hello\n");
        fixture.settle();
        if (peers[i].receive() != "hello\n") return false;
        peers[i].close();
        fixture.settle();
    }
    if (told != "full ") return false;
    fixture.engine.tick();
    if (told != "full room ") return false;
    return fixture.engine.accepted_count() == 20 &&
           fixture.log.text().find("can't accept") != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(acceptor)

BOOST_AUTO_TEST_CASE(more_clients_than_one_batch_are_all_accepted) {
    EngineFixture fixture(echo_lines);
    fixture.engine.start_accepting();
    fixture.settle();
    std::vector<Peer> peers;
    for (int i = 0; i < 100; ++i) peers.push_back(Peer::connected_to(fixture.listener));
    fixture.run_until([&] { return fixture.engine.session_count() == 100; });
    // One by one, in either of its ways; and then several at once.
    for (int i = 0; i < 70; ++i) {
        const int at_once = i % 35 == 34 ? 10 : 1;
        for (int peer = 0; peer < at_once; ++peer)
            peers.push_back(Peer::connected_to(fixture.listener));
        fixture.run_until([&] { return fixture.engine.accepted_count() == peers.size(); });
    }
    for (Peer& peer : peers) peer.send("hello\n");
    fixture.settle();
    for (Peer& peer : peers) BOOST_TEST(peer.receive() == "hello\n");
}

BOOST_AUTO_TEST_CASE(unix_sockets_are_accepted_from_too) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;  // without a name: the kernel makes an abstract one up
    BOOST_REQUIRE(
        ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)) == 0);
    BOOST_REQUIRE(::listen(socket.get(), 100) == 0);
    const int listener = socket.get();
    std::string seen;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        seen = client.peer();
        BOOST_TEST(client.peer_port() == 0);
        BOOST_TEST(client.local() == "unix");
        co_await client.write("hi");
    });
    worker::ListenerSetup setup;
    setup.socket = std::move(socket);
    setup.name = "local";
    setup.service_name = "scripted";
    setup.service = &fixture.service;
    fixture.engine.add_listener(std::move(setup));
    fixture.engine.start_accepting();
    std::vector<Peer> peers;
    for (int i = 0; i < 50; ++i) peers.push_back(Peer::connected_to(listener));
    fixture.settle();
    for (Peer& peer : peers) BOOST_TEST(peer.receive() == "hi");
    BOOST_TEST(seen == "unix");
    BOOST_TEST(fixture.engine.poll() == 0u);
}

BOOST_AUTO_TEST_CASE(peers_and_listeners_have_names) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        client.put(client.peer() + " " + std::string(client.peer_ip()) + " " + client.local() +
                   " " + client.listener_name() + " " + std::to_string(client.id()));
        co_return;
    });
    Peer peer = Peer::connected_to(fixture.listener);
    fixture.engine.start_accepting();
    std::string got;
    fixture.run_until([&] {
        got += peer.receive();
        return peer.ended();
    });
    sockaddr_in mine{};
    socklen_t size = sizeof mine;
    ::getsockname(peer.fd(), reinterpret_cast<sockaddr*>(&mine), &size);
    sockaddr_in theirs{};
    size = sizeof theirs;
    ::getpeername(peer.fd(), reinterpret_cast<sockaddr*>(&theirs), &size);
    BOOST_TEST(got == "127.0.0.1:" + std::to_string(ntohs(mine.sin_port)) +
                          " 127.0.0.1 127.0.0.1:" + std::to_string(ntohs(theirs.sin_port)) +
                          " test 1");
}

BOOST_AUTO_TEST_CASE(without_free_descriptors_it_pauses_and_goes_on_when_a_session_ends) {
    BOOST_TEST(in_child(serves_all_in_turns) == 0);
}

BOOST_AUTO_TEST_CASE(a_listener_that_stops_takes_its_queue_or_leaves_it) {
    for (const worker::Queue queue : {worker::Queue::taken, worker::Queue::left}) {
        EngineFixture fixture(echo_lines);
        const UniqueFd kept(::dup(fixture.listener));
        fixture.engine.start_accepting();
        std::vector<Peer> peers;
        for (int i = 0; i < 50; ++i) peers.push_back(Peer::connected_to(kept.get()));
        fixture.engine.stop_accepting(0, queue);
        const bool taken = queue == worker::Queue::taken;
        BOOST_TEST(fixture.engine.session_count() == (taken ? 50u : 0u));
        const UniqueFd next(::accept4(kept.get(), nullptr, nullptr, SOCK_CLOEXEC));
        BOOST_TEST(next.is_open() == !taken);
        fixture.engine.stop_accepting(0, queue);  // closed already
        fixture.settle();
    }
}

BOOST_AUTO_TEST_CASE(clients_that_left_before_they_were_accepted_do_no_harm) {
    EngineFixture fixture(echo_lines);
    for (int i = 0; i < 10; ++i) {
        const Peer gone = Peer::connected_to(fixture.listener);
        const struct ::linger now { 1, 0 };
        ::setsockopt(gone.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    Peer stays = Peer::connected_to(fixture.listener);
    fixture.engine.start_accepting();
    stays.send("hello\n");
    std::string got;
    fixture.run_until([&] {
        got += stays.receive();
        return got == "hello\n" && fixture.engine.session_count() == 1;
    });
}

BOOST_AUTO_TEST_SUITE_END()
