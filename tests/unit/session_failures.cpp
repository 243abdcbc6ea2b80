#include <stdexcept>

#include "tests/unit/engine_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

bool logged(const EngineFixture& fixture, std::string_view text) {
    return fixture.log.text().find(text) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(session_failures)

BOOST_AUTO_TEST_CASE(an_exception_ends_its_connection_and_no_other) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        while (auto line = co_await client.read_line()) {
            if (*line == "fail") throw std::runtime_error("no such \"thing\"");
            co_await client.write(*line + "\n");
        }
    });
    Peer failing = Peer::connected_to(fixture.listener);
    Peer other = fixture.connect();
    fixture.engine.start_accepting();
    fixture.run_until([&] { return fixture.engine.session_count() == 2; });
    failing.send("fail\n");
    fixture.run_until([&] { return fixture.engine.session_count() == 1; });
    failing.receive();
    BOOST_TEST(failing.reset());
    other.send("still here\n");
    fixture.settle();
    BOOST_TEST(other.receive() == "still here\n");
    BOOST_TEST(logged(fixture, "no such"));
    BOOST_TEST(logged(fixture, "service=scripted"));
    BOOST_TEST(logged(fixture, "peer=127.0.0.1:"));
}

BOOST_AUTO_TEST_CASE(an_exception_before_the_first_wait_is_no_different) {
    EngineFixture fixture([](Connection&) -> task<void> {
        throw std::logic_error("at once");
        co_return;
    });
    const Peer peer = fixture.connect();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
    BOOST_TEST(logged(fixture, "at once"));
}

BOOST_AUTO_TEST_CASE(an_exception_that_is_no_std_exception_is_logged_too) {
    EngineFixture fixture([](Connection&) -> task<void> {
        throw 42;
        co_return;
    });
    const Peer peer = fixture.connect();
    fixture.settle();
    BOOST_TEST(logged(fixture, "unknown exception"));
}

BOOST_AUTO_TEST_CASE(a_serve_that_is_no_coroutine_and_throws_ends_its_connection) {
    EngineFixture fixture([](Connection&) -> task<void> { throw std::runtime_error("plain"); });
    const Peer peer = fixture.connect();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
    BOOST_TEST(logged(fixture, "plain"));
}

BOOST_AUTO_TEST_CASE(too_long_a_line_ends_its_connection_and_no_other) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        while (auto line = co_await client.read_line(8)) co_await client.write(*line + "\n");
    });
    Peer talker = Peer::connected_to(fixture.listener);
    Peer other = fixture.connect();
    fixture.engine.start_accepting();
    fixture.run_until([&] { return fixture.engine.session_count() == 2; });
    talker.send("more than eight\n");
    fixture.run_until([&] { return logged(fixture, "too long"); });
    talker.receive();
    BOOST_TEST(talker.ended());
    talker.close();
    fixture.run_until([&] { return fixture.engine.session_count() == 1; });
    other.send("short\n");
    fixture.settle();
    BOOST_TEST(other.receive() == "short\n");
    BOOST_TEST(logged(fixture, "message too long; connection closed service=scripted"));
    BOOST_TEST(logged(fixture, "peer=127.0.0.1:"));
}

BOOST_AUTO_TEST_CASE(too_long_a_line_that_the_service_deals_with_is_no_news) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        const auto line = co_await client.read_line(8);
        if (!line && client.why() == End::too_long) client.consume(client.received().size());
        while (const auto rest = co_await client.read_line()) co_await client.write(*rest + "\n");
    });
    Peer peer = fixture.connect();
    peer.send("more than eight\n");
    fixture.settle();
    peer.send("hello\n");
    fixture.settle();
    BOOST_TEST(peer.receive() == "hello\n");
    peer.half_close();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
    BOOST_TEST(!logged(fixture, "too long"));
}

BOOST_AUTO_TEST_CASE(a_service_that_ignores_its_connections_end_is_stopped) {
    bool destroyed = false;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        struct Guard {
            bool& flag;
            ~Guard() { flag = true; }
        };
        const Guard guard{destroyed};
        for (;;) static_cast<void>(co_await client.read_line());
    });
    Peer peer = fixture.connect();
    fixture.settle();
    peer.close();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
    BOOST_TEST(destroyed);
    BOOST_TEST(logged(fixture, "goes on after its connection has ended"));
}

BOOST_AUTO_TEST_CASE(a_service_that_only_writes_notices_that_its_peer_has_gone) {
    End why = End::none;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        for (;;) {
            if (!co_await client.write("tick\n")) break;
            if (!co_await client.sleep_for(milliseconds(1))) break;
        }
        why = client.why();
    });
    Peer peer = fixture.connect();
    fixture.settle();
    peer.close();
    fixture.run_until([&] { return why != End::none; });
    BOOST_TEST(to_string(why) == "reset");
    BOOST_TEST(fixture.engine.session_count() == 0u);
}

BOOST_AUTO_TEST_CASE(a_service_that_never_waits_leaves_turns_to_others) {
    // Two connections, each with a lot of input at hand; neither may be served to its end first.
    std::vector<int> order;
    int number = 0;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        const int mine = number++;
        while (const auto byte = co_await client.read_some(1)) {
            if (order.empty() || order.back() != mine) order.push_back(mine);
        }
    });
    Peer first = fixture.connect();
    Peer second = fixture.connect();
    fixture.settle();
    first.send(std::string(10000, 'a'));
    second.send(std::string(10000, 'b'));
    fixture.settle();
    BOOST_TEST(order.size() > 10u);
}

BOOST_AUTO_TEST_CASE(an_engine_can_end_with_connections_in_every_state) {
    {
        EngineFixture fixture([](Connection& client) -> task<void> {
            const auto line = co_await client.read_line();
            if (*line == "sleep") co_await client.sleep_for(std::chrono::hours(1));
            if (*line == "write")
                for (;;) co_await client.write("abcdefgh");
            static_cast<void>(co_await client.read_line());
        });
        std::vector<Peer> peers;
        for (const char* line : {"sleep\n", "write\n", "read\n", "half"}) {
            peers.push_back(fixture.connect());
            peers.back().send(line);
            fixture.settle();
        }
        BOOST_TEST(fixture.engine.session_count() == 4u);
        peers[0].send("x");
    }
    BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
