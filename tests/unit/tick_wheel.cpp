#include "worker/tick_wheel.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <memory>
#include <random>
#include <vector>

using namespace preforkd::worker;

namespace {

/// Ticks at which `entry` is visited while the clock goes on by `ticks`.
std::vector<Tick> visits(TickWheel& wheel, WheelEntry& entry, Tick ticks) {
    std::vector<Tick> seen;
    for (Tick i = 0; i < ticks; ++i)
        wheel.advance([&](WheelEntry& due) {
            if (&due == &entry) seen.push_back(wheel.now());
        });
    return seen;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tick_wheel)

BOOST_AUTO_TEST_CASE(an_entry_is_visited_exactly_when_it_is_due) {
    TickWheel wheel;
    WheelEntry entry;
    wheel.add(entry);
    wheel.place(entry, 5);
    BOOST_TEST(visits(wheel, entry, 10) == std::vector<Tick>{5}, boost::test_tools::per_element());
    wheel.remove(entry);
    BOOST_TEST(wheel.empty());
}

BOOST_AUTO_TEST_CASE(what_is_far_away_is_visited_early_and_placed_anew) {
    TickWheel wheel;
    WheelEntry entry;
    wheel.add(entry);
    wheel.place(entry, 100);
    std::vector<Tick> seen;
    while (wheel.now() < 100)
        wheel.advance([&](WheelEntry& due) {
            seen.push_back(wheel.now());
            wheel.place(due, 100);
        });
    BOOST_TEST(seen == (std::vector<Tick>{63, 100}), boost::test_tools::per_element());
    wheel.remove(entry);
}

BOOST_AUTO_TEST_CASE(a_past_tick_counts_as_the_next_one) {
    TickWheel wheel;
    WheelEntry entry;
    wheel.add(entry);
    visits(wheel, entry, 10);
    wheel.place(entry, 3);
    BOOST_TEST(entry.due() == 11u);
    wheel.remove(entry);
}

BOOST_AUTO_TEST_CASE(a_visitor_may_remove_any_entry) {
    TickWheel wheel;
    WheelEntry first;
    WheelEntry second;
    WheelEntry third;
    for (WheelEntry* entry : {&first, &second, &third}) {
        wheel.add(*entry);
        wheel.place(*entry, 1);
    }
    int visited = 0;
    wheel.advance([&](WheelEntry& due) {
        ++visited;
        wheel.remove(due);
        if (&due == &first) wheel.remove(second);
    });
    BOOST_TEST(visited == 2);
    BOOST_TEST(wheel.empty());
}

BOOST_AUTO_TEST_CASE(every_entry_can_be_visited_whatever_its_tick) {
    TickWheel wheel;
    std::vector<std::unique_ptr<WheelEntry>> entries;
    for (Tick due = 0; due < 200; ++due) {
        entries.push_back(std::make_unique<WheelEntry>());
        wheel.add(*entries.back());
        wheel.place(*entries.back(), due);
    }
    std::map<WheelEntry*, int> visited;
    wheel.for_each([&](WheelEntry& entry) { ++visited[&entry]; });
    BOOST_TEST(visited.size() == 200u);
    wheel.for_each([&](WheelEntry& entry) { wheel.remove(entry); });
    BOOST_TEST(wheel.empty());
}

BOOST_AUTO_TEST_CASE(no_entry_is_ever_late) {
    struct Timed : WheelEntry {
        Tick wanted = 0;
    };
    const unsigned seed = std::random_device{}();
    BOOST_TEST_MESSAGE("seed " << seed);
    std::mt19937 random(seed);
    std::uniform_int_distribution<Tick> ahead(1, 300);
    TickWheel wheel;
    std::vector<Timed> entries(50);
    for (Timed& entry : entries) {
        wheel.add(entry);
        entry.wanted = ahead(random);
        wheel.place(entry, entry.wanted);
    }
    std::size_t reached = 0;
    while (wheel.now() < 5000)
        wheel.advance([&](WheelEntry& due) {
            auto& entry = static_cast<Timed&>(due);
            BOOST_REQUIRE_LE(wheel.now(), entry.wanted);
            if (wheel.now() == entry.wanted) {
                ++reached;
                entry.wanted = wheel.now() + ahead(random);
            }
            wheel.place(entry, entry.wanted);
        });
    BOOST_TEST(reached > 1000u);
    wheel.for_each([&](WheelEntry& entry) { wheel.remove(entry); });
}

BOOST_AUTO_TEST_SUITE_END()
