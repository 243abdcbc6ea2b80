#include "tests/unit/engine_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

/// Serves lines by one rule; says goodbye when asked to leave.
ScriptedService::Script lines_with(OnDrain rule) {
    return [rule](Connection& client) -> task<void> {
        while (auto line = co_await client.read_line(100, rule))
            co_await client.write("got " + *line + "\n");
        co_await client.write("bye: " + std::string(to_string(client.why())) + "\n");
    };
}

struct Draining : EngineFixture {
    explicit Draining(ScriptedService::Script script) : EngineFixture(std::move(script)) {}

    void drain(worker::DrainRules rules = {}) {
        engine.drain(rules, [this] { ++times_empty; });
        settle();
    }
    void tick(int times = 1) {
        for (int i = 0; i < times; ++i) {
            engine.tick();
            settle();
        }
    }

    int times_empty = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(session_drain)

BOOST_AUTO_TEST_CASE(a_worker_without_connections_is_empty_at_once) {
    Draining fixture(lines_with(OnDrain::grace));
    fixture.engine.start_accepting();
    fixture.drain();
    BOOST_TEST(fixture.times_empty == 1);
}

BOOST_AUTO_TEST_CASE(wake_says_goodbye_between_messages_at_once) {
    Draining fixture(lines_with(OnDrain::wake));
    Peer peer = fixture.connect();
    fixture.settle();
    fixture.drain();
    BOOST_TEST(peer.receive() == "bye: draining\n");
    BOOST_TEST(peer.ended());
    BOOST_TEST(fixture.times_empty == 0);
    peer.close();
    fixture.settle();
    BOOST_TEST(fixture.times_empty == 1);
}

BOOST_AUTO_TEST_CASE(a_message_that_has_begun_is_waited_for_and_answered) {
    for (const OnDrain rule : {OnDrain::wake, OnDrain::grace, OnDrain::idle}) {
        Draining fixture(lines_with(rule));
        Peer peer = fixture.connect();
        peer.send("half");
        fixture.settle();
        fixture.drain();
        fixture.tick(10);
        BOOST_TEST(peer.receive() == "");
        peer.send(" a line\n");
        fixture.settle();
        fixture.tick(10);
        BOOST_TEST(peer.receive() == "got half a line\nbye: draining\n");
    }
}

BOOST_AUTO_TEST_CASE(an_idle_client_has_its_grace_to_send_one_more) {
    Draining fixture(lines_with(OnDrain::grace));
    Peer silent = fixture.connect();
    Peer thinking = fixture.connect();
    fixture.settle();
    fixture.drain({.timeout = seconds(30), .grace = seconds(2)});
    fixture.tick(2);
    BOOST_TEST(silent.receive() == "");
    thinking.send("last\n");
    fixture.settle();
    BOOST_TEST(thinking.receive() == "got last\nbye: draining\n");
    BOOST_TEST(thinking.ended());
    BOOST_TEST(silent.receive() == "");
    fixture.tick();
    BOOST_TEST(silent.receive() == "bye: draining\n");
    BOOST_TEST(silent.ended());
}

BOOST_AUTO_TEST_CASE(whoever_cannot_be_told_is_served_while_it_sends) {
    // As a service that says nothing of its own: the rule is the one that lines have by default.
    Draining fixture([](Connection& client) -> task<void> {
        while (auto line = co_await client.read_line()) co_await client.write(*line + "\n");
    });
    Peer peer = fixture.connect();
    fixture.settle();
    fixture.drain({.timeout = seconds(30), .grace = seconds(2)});
    for (int i = 0; i < 10; ++i) {
        peer.send("more\n");
        fixture.settle();
        BOOST_TEST(peer.receive() == "more\n");
        BOOST_TEST(!peer.ended());
        fixture.tick();
    }
    fixture.tick(3);
    BOOST_TEST(peer.receive() == "");
    BOOST_TEST(peer.ended());
}

BOOST_AUTO_TEST_CASE(a_stream_ends_when_it_is_silent_for_the_grace) {
    std::size_t echoed = 0;
    Draining fixture([&](Connection& client) -> task<void> {
        while (const auto bytes = co_await client.read_some()) {
            echoed += bytes->size();
            co_await client.write(*bytes);
        }
    });
    Peer peer = fixture.connect();
    fixture.settle();
    fixture.drain({.timeout = seconds(300), .grace = seconds(2)});
    for (int i = 0; i < 20; ++i) {
        peer.send("more");
        fixture.settle();
        fixture.tick(2);
    }
    BOOST_TEST(echoed == 80u);
    BOOST_TEST(!peer.ended());
    fixture.tick(2);
    peer.receive();
    BOOST_TEST(peer.ended());
}

BOOST_AUTO_TEST_CASE(wait_does_not_hear_of_a_drain_until_its_end) {
    Draining fixture(lines_with(OnDrain::wait));
    Peer peer = fixture.connect();
    fixture.settle();
    fixture.drain({.timeout = seconds(5), .grace = seconds(1)});
    fixture.tick(5);
    peer.send("still here\n");
    fixture.settle();
    BOOST_TEST(peer.receive() == "got still here\n");
    BOOST_TEST(fixture.times_empty == 0);
    fixture.tick();
    BOOST_TEST(peer.receive() == "bye: draining\n");
    fixture.tick(4);
    BOOST_TEST(fixture.times_empty == 1);
    BOOST_TEST((fixture.log.text().find("drain timed out") != std::string::npos));
}

BOOST_AUTO_TEST_CASE(a_service_that_waits_elsewhere_cannot_hold_the_worker) {
    struct Never {
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        void await_resume() const noexcept {}
    };
    Draining fixture([](Connection&) -> task<void> { co_await Never{}; });
    const Peer peer = fixture.connect();
    fixture.settle();
    fixture.drain({.timeout = seconds(3), .grace = seconds(1)});
    fixture.tick(4);
    BOOST_TEST(fixture.times_empty == 0);
    fixture.tick();
    BOOST_TEST(fixture.times_empty == 1);
    BOOST_TEST(fixture.engine.session_count() == 1u);
}

BOOST_AUTO_TEST_CASE(what_is_queued_is_served_before_the_listener_closes) {
    Draining fixture(lines_with(OnDrain::grace));
    std::vector<Peer> peers;
    for (int i = 0; i < 40; ++i) {
        peers.push_back(Peer::connected_to(fixture.listener));
        peers.back().send("hello\n");
    }
    fixture.drain();
    for (Peer& peer : peers) {
        std::string got;
        fixture.run_until([&] {
            got += peer.receive();
            return peer.ended();
        });
        BOOST_TEST(got == "got hello\nbye: draining\n");
        BOOST_TEST(!peer.reset());
    }
    peers.clear();
    fixture.run_until([&] { return fixture.times_empty == 1; });
    BOOST_TEST(fixture.engine.accepted_count() == 40u);
}

BOOST_AUTO_TEST_CASE(a_drain_can_go_on_accepting_until_told_otherwise) {
    Draining fixture(lines_with(OnDrain::grace));
    fixture.engine.start_accepting();
    fixture.drain({.timeout = seconds(30), .grace = seconds(2), .keep_accepting = true});
    BOOST_TEST(fixture.times_empty == 0);
    Peer late = Peer::connected_to(fixture.listener);
    fixture.run_until([&] { return fixture.engine.accepted_count() == 1; });
    fixture.tick(2);
    late.send("am I late?\n");
    std::string got;
    fixture.run_until([&] {
        got += late.receive();
        return late.ended();
    });
    BOOST_TEST(got == "got am I late?\nbye: draining\n");
    late.close();
    fixture.engine.stop_accepting();
    fixture.run_until([&] { return fixture.times_empty == 1; });
}

BOOST_AUTO_TEST_CASE(a_drain_ends_when_the_last_of_several_listeners_has_stopped) {
    Draining fixture(lines_with(OnDrain::grace));
    worker::ListenerSetup second;
    second.socket = listening_socket();
    second.service = &fixture.service;
    fixture.engine.add_listener(std::move(second));
    fixture.engine.start_accepting();
    fixture.drain({.timeout = seconds(30), .grace = seconds(2), .keep_accepting = true});
    fixture.engine.stop_accepting(1, worker::Queue::left);
    fixture.settle();
    BOOST_TEST(fixture.times_empty == 0);
    fixture.engine.stop_accepting(0, worker::Queue::left);
    fixture.run_until([&] { return fixture.times_empty == 1; });
}

BOOST_AUTO_TEST_SUITE_END()
