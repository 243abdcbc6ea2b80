#include "tests/unit/engine_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

/// Ticks until the only connection is gone, at most `limit`.
int ticks_to_end(EngineFixture& fixture, int limit) {
    for (int ticks = 0; ticks < limit; ++ticks) {
        if (fixture.engine.session_count() == 0) return ticks;
        fixture.engine.tick();
        fixture.settle();
    }
    return limit;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(session_time)

BOOST_AUTO_TEST_CASE(a_deadline_ends_a_wait_up_to_a_second_late_and_never_early) {
    for (const int given : {0, 1, 5, 62, 63, 64, 65, 200}) {
        End why = End::none;
        EngineFixture fixture([&](Connection& client) -> task<void> {
            client.read_timeout(seconds(0));
            client.deadline(seconds(given));
            static_cast<void>(co_await client.fill());
            why = client.why();
        });
        const Peer peer = fixture.connect();
        fixture.settle();
        BOOST_TEST(ticks_to_end(fixture, 1000) == given + 1);
        BOOST_TEST(to_string(why) == "deadline");
    }
}

BOOST_AUTO_TEST_CASE(a_deadline_is_not_put_off_by_bytes_that_trickle_in) {
    End why = End::none;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        client.deadline(seconds(5));
        while (co_await client.fill()) {
        }
        why = client.why();
    });
    Peer peer = fixture.connect();
    for (int i = 0; i < 6; ++i) {
        peer.send("x");
        fixture.settle();
        BOOST_TEST(to_string(why) == "none");
        fixture.engine.tick();
        fixture.settle();
    }
    BOOST_TEST(to_string(why) == "deadline");
}

BOOST_AUTO_TEST_CASE(a_read_timeout_counts_for_each_read_anew) {
    End why = End::none;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        client.read_timeout(seconds(2));
        while (co_await client.read_line()) {
        }
        why = client.why();
    });
    Peer peer = fixture.connect();
    for (int i = 0; i < 10; ++i) {
        peer.send("line\n");
        fixture.settle();
        fixture.engine.tick();
        fixture.settle();
    }
    BOOST_TEST(to_string(why) == "none");
    peer.send("half a line");
    for (int i = 0; i < 3; ++i) {
        fixture.engine.tick();
        fixture.settle();
    }
    BOOST_TEST(to_string(why) == "deadline");
}

BOOST_AUTO_TEST_CASE(a_deadline_that_was_lifted_ends_nothing) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        client.read_timeout(seconds(0));
        client.deadline(seconds(3));
        client.no_deadline();
        static_cast<void>(co_await client.fill());
    });
    const Peer peer = fixture.connect();
    fixture.settle();
    BOOST_TEST(ticks_to_end(fixture, 500) == 500);
}

BOOST_AUTO_TEST_CASE(after_a_deadline_the_service_can_still_say_goodbye) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        client.read_timeout(seconds(1));
        static_cast<void>(co_await client.read_line());
        if (client.why() == End::deadline) co_await client.write("too slow\n");
    });
    Peer peer = fixture.connect();
    fixture.settle();
    fixture.engine.tick();
    fixture.engine.tick();
    fixture.settle();
    BOOST_TEST(peer.receive() == "too slow\n");
    BOOST_TEST(peer.ended());
}

BOOST_AUTO_TEST_CASE(sleep_sends_what_was_written_and_then_waits) {
    bool slept = false;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        client.put("before");
        slept = co_await client.sleep_for(milliseconds(20));
        client.put("after");
    });
    Peer peer = fixture.connect();
    const auto begin = Clock::now();
    fixture.settle();
    BOOST_TEST(peer.receive() == "before");
    fixture.run_until([&] { return slept; });
    BOOST_TEST((Clock::now() - begin >= milliseconds(20)));
    fixture.settle();
    BOOST_TEST(peer.receive() == "after");
}

BOOST_AUTO_TEST_CASE(wake_ends_a_sleep) {
    Connection* sleeper = nullptr;
    bool slept = true;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        sleeper = &client;
        slept = co_await client.sleep_for(std::chrono::hours(1));
        BOOST_TEST(to_string(client.why()) == "woken");
    });
    const Peer peer = fixture.connect();
    fixture.settle();
    sleeper->wake();
    fixture.settle();
    BOOST_TEST(!slept);
    BOOST_TEST(fixture.engine.session_count() == 0u);
}

BOOST_AUTO_TEST_CASE(the_clock_of_a_worker_without_connections_stands_still) {
    MemoryLog log;
    worker::Engine engine(log.logger);
    int ticks = 0;
    engine.on_tick([&] { ++ticks; });
    engine.poll();
    BOOST_TEST(ticks == 0);
    BOOST_TEST(engine.poll() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
