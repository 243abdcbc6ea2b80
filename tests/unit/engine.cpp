#include "worker/engine.hpp"

#include <netinet/tcp.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <preforkd/asio.hpp>

#include "tests/unit/engine_fixture.hpp"
#include "worker/services/echo.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

task<void> sleep_then_set(bool& flag) {
    boost::asio::steady_timer timer(executor(), milliseconds(1));
    const error_code error = co_await timer.async_wait(use_task);
    flag = !error;
}

task<void> fail_later() {
    boost::asio::steady_timer timer(executor(), milliseconds(1));
    static_cast<void>(co_await timer.async_wait(use_task));
    throw std::runtime_error("failed in the background");
}

/// Passes each line on to a backend and its answer back.
task<void> relay(Connection& client, boost::asio::ip::tcp::endpoint backend_address) {
    boost::asio::ip::tcp::socket backend(executor());
    if (co_await backend.async_connect(backend_address, use_task)) co_return;
    while (auto line = co_await client.read_line()) {
        *line += '\n';
        const auto outgoing = boost::asio::buffer(*line);
        const auto [failed, sent] = co_await boost::asio::async_write(backend, outgoing, use_task);
        if (failed) co_return;
        std::array<char, 100> answer{};
        const auto incoming = boost::asio::buffer(answer);
        const auto [error, size] = co_await backend.async_read_some(incoming, use_task);
        if (error) co_return;
        co_await client.write({answer.data(), size});
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(engine)

BOOST_AUTO_TEST_CASE(a_watched_descriptor_calls_back_until_it_is_empty) {
    MemoryLog log;
    worker::Engine engine(log.logger);
    int ends[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
    const UniqueFd mine(ends[0]);
    UniqueFd theirs(ends[1]);
    int messages = 0;
    bool ended = false;
    engine.watch(mine.get(), [&] {
        char byte = 0;
        const ssize_t got = ::recv(mine.get(), &byte, 1, 0);  // one message of several
        if (got == 1) ++messages;
        if (got != 0) return;
        ended = true;
        engine.unwatch(mine.get());
    });
    for (int i = 0; i < 3; ++i) BOOST_REQUIRE(::send(theirs.get(), "x", 1, 0) == 1);
    while (messages < 3) engine.run_one();
    theirs.reset();
    while (!ended) engine.run_one();
    BOOST_TEST(engine.poll() == 0u);
}

BOOST_AUTO_TEST_CASE(run_ends_with_stop) {
    MemoryLog log;
    worker::Engine engine(log.logger);
    int ends[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    const UniqueFd mine(ends[0]);
    UniqueFd theirs(ends[1]);
    engine.watch(mine.get(), [&] { engine.stop(); });
    theirs.reset();
    engine.run();
    BOOST_TEST(engine.session_count() == 0u);
}

BOOST_AUTO_TEST_CASE(background_tasks_run_beside_the_connections) {
    EngineFixture fixture([](Connection&) -> task<void> { co_return; });
    bool flag = false;
    spawn(sleep_then_set(flag));
    spawn(fail_later());
    fixture.run_until([&] {
        return flag && fixture.log.text().find("failed in the background") != std::string::npos;
    });
}

BOOST_AUTO_TEST_CASE(a_service_can_use_asio_for_connections_of_its_own) {
    EngineFixture fixture([](Connection&) -> task<void> { co_return; });
    worker::Echo echo;
    worker::ListenerSetup setup;
    setup.socket = listening_socket();
    setup.name = "echo";
    setup.service_name = "echo";
    setup.service = &echo;
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(setup.socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    const boost::asio::ip::tcp::endpoint backend(boost::asio::ip::address_v4::loopback(),
                                                 ntohs(address.sin_port));
    fixture.service.script = [backend](Connection& client) { return relay(client, backend); };
    fixture.engine.add_listener(std::move(setup));
    fixture.engine.start_accepting();
    Peer peer = fixture.connect();
    for (const std::string line : {"one\n", "two\n"}) {
        peer.send(line);
        std::string got;
        fixture.run_until([&] {
            got += peer.receive();
            return got.size() >= line.size();
        });
        BOOST_TEST(got == line);
    }
    peer.close();
    fixture.run_until([&] { return fixture.engine.session_count() == 0; });
}

BOOST_AUTO_TEST_CASE(with_deferred_accept_a_request_is_answered_without_waiting_for_it) {
    EngineFixture fixture([](Connection&) -> task<void> { co_return; });
    worker::Echo echo;
    worker::ListenerSetup setup;
    setup.socket = listening_socket();
    const int listener = setup.socket.get();
    const int one = 1;
    BOOST_REQUIRE(::setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one) == 0);
    setup.name = "echo";
    setup.service_name = "echo";
    setup.service = &echo;
    fixture.engine.add_listener(std::move(setup));
    fixture.engine.start_accepting();
    fixture.settle();
    Peer peer = Peer::connected_to(listener);
    peer.send("at once");
    peer.half_close();
    std::string got;
    fixture.run_until([&] {
        got += peer.receive();
        return !got.empty();
    });
    BOOST_TEST(got == "at once");
}

BOOST_AUTO_TEST_CASE(requests_are_counted) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        while (co_await client.read_line()) client.count_request();
    });
    Peer peer = fixture.connect();
    peer.send("1\n2\n3\n");
    fixture.settle();
    BOOST_TEST(fixture.engine.request_count() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
