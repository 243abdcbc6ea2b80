#include <preforkd/blocking.hpp>

#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "tests/unit/engine_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

/// Keeps threads from going on until the test says so.
class ThreadGate {
  public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
    }
    void wait_for(unsigned threads) {
        std::unique_lock lock(mutex_);
        const bool came = changed_.wait_for(lock, seconds(10), [&] { return waiting_ == threads; });
        BOOST_REQUIRE(came);
    }
    void open() {
        const std::scoped_lock lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    unsigned waiting_ = 0;
    bool open_ = false;
};

struct ThreadedFixture : EngineFixture {
    explicit ThreadedFixture(ScriptedService::Script script) : EngineFixture(std::move(script)) {
        engine.offer_threads();
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(blocking)

BOOST_AUTO_TEST_CASE(work_is_done_in_another_thread_and_its_result_comes_back) {
    std::thread::id worker, before, after;
    ThreadedFixture fixture([&](Connection& client) -> task<void> {
        before = std::this_thread::get_id();
        const auto work = [&] {
            worker = std::this_thread::get_id();
            return std::string("a result that lies on the heap");
        };
        const std::string result = co_await preforkd::blocking(work);
        after = std::this_thread::get_id();
        co_await client.write(result);
    });
    Peer peer = fixture.connect();
    fixture.run_until([&] { return fixture.engine.session_count() == 0; });
    BOOST_TEST(peer.receive() == "a result that lies on the heap");
    BOOST_CHECK(before == after);
    BOOST_CHECK(worker != before);
}

BOOST_AUTO_TEST_CASE(others_are_served_meanwhile) {
    ThreadGate gate;
    ThreadedFixture fixture([&](Connection& client) -> task<void> {
        while (const auto line = co_await client.read_line()) {
            const auto work = [&] { gate.pass(); };
            if (*line == "block") co_await preforkd::blocking(work);
            co_await client.write(*line + "\n");
        }
    });
    Peer blocked = fixture.connect();
    Peer other = fixture.connect();
    blocked.send("block\n");
    fixture.settle();
    gate.wait_for(1);
    other.send("quick\n");
    fixture.settle();
    BOOST_TEST(other.receive() == "quick\n");
    BOOST_TEST(blocked.receive() == "");
    gate.open();
    std::string answer;
    fixture.run_until([&] { return !(answer += blocked.receive()).empty(); });
    BOOST_TEST(answer == "block\n");
}

BOOST_AUTO_TEST_CASE(what_the_work_throws_arrives_where_it_is_awaited) {
    std::string caught;
    ThreadedFixture fixture([&](Connection&) -> task<void> {
        const auto work = []() -> int { throw std::runtime_error("from a thread"); };
        try {
            static_cast<void>(co_await preforkd::blocking(work));
        } catch (const std::runtime_error& error) {
            caught = error.what();
        }
    });
    const Peer peer = fixture.connect();
    fixture.run_until([&] { return fixture.engine.session_count() == 0; });
    BOOST_TEST(caught == "from a thread");
}

BOOST_AUTO_TEST_CASE(no_more_threads_work_at_once_than_there_may_be_and_the_rest_has_its_turn) {
    ThreadGate gate;
    unsigned finished = 0;
    ThreadedFixture fixture([&](Connection&) -> task<void> {
        const auto work = [&] { gate.pass(); };
        co_await preforkd::blocking(work);
        ++finished;
    });
    std::vector<Peer> peers;
    for (unsigned i = 0; i < 3 * blocking_threads; ++i) peers.push_back(fixture.connect());
    fixture.settle();
    gate.wait_for(blocking_threads);
    BOOST_TEST(finished == 0u);
    gate.open();
    fixture.run_until([&] { return finished == 3 * blocking_threads; });
}

BOOST_AUTO_TEST_CASE(a_service_that_declares_no_threads_is_told_so) {
    EngineFixture fixture([](Connection&) -> task<void> {
        const auto work = [] {};
        co_await preforkd::blocking(work);
    });
    const Peer peer = fixture.connect();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
    BOOST_TEST(fixture.log.text().find("starts_threads") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_engine_that_ends_waits_for_work_that_has_begun_and_drops_the_rest) {
    ThreadGate gate;
    std::atomic<unsigned> begun = 0;
    std::thread opener;
    {
        ThreadedFixture fixture([&](Connection&) -> task<void> {
            const std::string kept = "in the frame, and used until the work is done";
            const auto work = [&] {
                ++begun;
                gate.pass();
                if (kept.size() != 45) throw std::logic_error("the frame has gone");
            };
            co_await preforkd::blocking(work);
        });
        std::vector<Peer> peers;
        for (unsigned i = 0; i < 2 * blocking_threads; ++i) peers.push_back(fixture.connect());
        fixture.settle();
        gate.wait_for(blocking_threads);
        opener = std::thread([&] { gate.open(); });
    }
    opener.join();
    BOOST_TEST(begun >= blocking_threads);
    BOOST_TEST(begun <= 2 * blocking_threads);
}

BOOST_AUTO_TEST_SUITE_END()
