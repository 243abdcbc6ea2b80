#include "master/steering.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <numeric>
#include <random>
#include <set>

using namespace preforkd;
using namespace preforkd::master;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t longest_program = 4096;  // BPF_MAXINSNS

/// What the kernel would make of `program` with that random number: an interpreter for the few
/// instructions there are.
std::uint32_t run(const std::vector<sock_filter>& program, std::uint32_t random) {
    std::uint32_t accumulator = 0;
    for (std::size_t at = 0; at < program.size(); ++at) {
        const sock_filter& step = program[at];
        switch (step.code) {
            case BPF_LD | BPF_W | BPF_ABS:
                BOOST_REQUIRE(step.k == static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM));
                accumulator = random;
                break;
            case BPF_ALU | BPF_MOD | BPF_K:
                BOOST_REQUIRE(step.k != 0u);
                accumulator %= step.k;
                break;
            // NOLINTNEXTLINE(misc-redundant-expression): two names for 0
            case BPF_ALU | BPF_ADD | BPF_K:
                accumulator += step.k;
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
                at += accumulator >= step.k ? step.jt : step.jf;
                break;
            case BPF_RET | BPF_K:
                return step.k;
            case BPF_RET | BPF_A:
                return accumulator;
            default:
                BOOST_FAIL("unexpected instruction");
        }
    }
    BOOST_FAIL("the program runs past its end");
    return 0;
}

/// Where as many random numbers as there are targets lead, in a row.
std::vector<std::uint32_t> reached(const std::vector<std::uint32_t>& targets) {
    const auto program = steer_to(targets);
    BOOST_TEST(program.size() <= longest_program);
    std::vector<std::uint32_t> found;
    for (std::uint32_t number = 0; number < targets.size(); ++number)
        found.push_back(run(program, number + 7 * static_cast<std::uint32_t>(targets.size())));
    std::ranges::sort(found);
    return found;
}

std::vector<std::uint64_t> handshakes(std::initializer_list<std::uint64_t> cookies) {
    return cookies;
}

constexpr TimePoint start{1h};

}  // namespace

BOOST_AUTO_TEST_SUITE(steering)

BOOST_AUTO_TEST_CASE(a_program_reaches_each_target_alike_and_nobody_else) {
    const std::vector<std::vector<std::uint32_t>> cases = {
        {0},       {3},       {0, 1},         {0, 1, 2, 3},    {1, 2, 3},
        {0, 2, 3}, {0, 1, 3}, {7, 1, 4, 2},   {0, 2, 4, 6, 8}, {5, 6, 9, 10, 11, 20},
        {1023},    {0, 1023}, {9, 8, 7, 0, 1}};
    for (const auto& targets : cases) {
        auto sorted = targets;
        std::ranges::sort(sorted);
        BOOST_TEST(reached(targets) == sorted, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(a_program_fits_whichever_of_the_most_slots_it_names) {
    std::vector<std::uint32_t> every_other;
    for (std::uint32_t index = 1; index < 1024; index += 2) every_other.push_back(index);
    BOOST_TEST(reached(every_other) == every_other, boost::test_tools::per_element());
    std::mt19937 random(1);
    for (int round = 0; round < 100; ++round) {
        std::vector<std::uint32_t> some;
        for (std::uint32_t index = 0; index < 1024; ++index)
            if (random() % 4 != 0) some.push_back(index);
        BOOST_TEST(reached(some) == some, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(the_last_socket_takes_the_place_of_the_one_that_left) {
    GroupOrder order;
    for (const Member member : {10u, 11u, 12u, 13u}) order.joined(member);
    BOOST_TEST(*order.index_of(12) == 2u);
    order.left(11);
    BOOST_TEST(*order.index_of(13) == 1u);
    BOOST_TEST(*order.index_of(12) == 2u);
    BOOST_TEST(!order.index_of(11));
    order.left(12);  // the last one itself
    BOOST_TEST(order.size() == 2u);
    BOOST_TEST(*order.index_of(10) == 0u);
    BOOST_TEST(*order.index_of(13) == 1u);
    order.joined(11);
    BOOST_TEST(*order.index_of(11) == 2u);
    order.left(99);  // nobody
    BOOST_TEST(order.size() == 3u);
}

BOOST_AUTO_TEST_CASE(those_that_a_leaver_does_not_move_are_known_before) {
    GroupOrder order;
    for (const Member member : {0u, 1u, 2u, 3u}) order.joined(member);
    const std::vector<Member> all{0, 1, 2, 3};
    BOOST_TEST(order.unmoved_by(1, all) == (std::vector<Member>{0, 2}),
               boost::test_tools::per_element());
    BOOST_TEST(order.unmoved_by(3, all) == (std::vector<Member>{0, 1, 2}),
               boost::test_tools::per_element());
    BOOST_TEST(order.unmoved_by(0, {3}).empty());
}

// The order must say at any time what an array that is kept as the kernel does would.
BOOST_AUTO_TEST_CASE(over_any_history_the_order_is_the_kernels) {
    std::mt19937 random(2);
    for (int history = 0; history < 200; ++history) {
        GroupOrder order;
        std::vector<Member> kernel;  // socks[] of struct sock_reuseport
        for (int step = 0; step < 60; ++step) {
            const auto member = static_cast<Member>(random() % 12);
            const auto found = std::ranges::find(kernel, member);
            if (found == kernel.end()) {
                order.joined(member);
                kernel.push_back(member);
            } else {
                const std::vector<Member> before = kernel;
                const auto unmoved = order.unmoved_by(member, before);
                order.left(member);
                *found = kernel.back();
                kernel.resize(kernel.size() - 1);
                for (const Member stays : unmoved)
                    BOOST_TEST((std::ranges::find(before, stays) - before.begin() ==
                                std::ranges::find(kernel, stays) - kernel.begin()));
            }
            BOOST_REQUIRE(order.size() == kernel.size());
            for (std::uint32_t index = 0; index < kernel.size(); ++index) {
                BOOST_REQUIRE(order.at(index) == kernel[index]);
                BOOST_REQUIRE(*order.index_of(kernel[index]) == index);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(clients_go_to_the_best_that_there_are) {
    using enum Standing;
    const auto targets = [](const Standings& standings) { return targets_of(standings); };
    const auto are = [](std::vector<Member> members) { return members; };
    BOOST_TEST(targets({{0, served}, {1, served}}) == are({0, 1}),
               boost::test_tools::per_element());
    BOOST_TEST(targets({{0, served}, {1, unmet}, {2, full}}) == are({0}),
               boost::test_tools::per_element());
    BOOST_TEST(targets({{0, unmet}, {1, full}, {2, full}}) == are({1, 2}),
               boost::test_tools::per_element());
    BOOST_TEST(targets({{0, unmet}, {1, unmet}}) == are({0, 1}), boost::test_tools::per_element());
    BOOST_TEST(targets({}).empty());
}

BOOST_AUTO_TEST_CASE(a_worker_may_be_hung_and_full_and_recover_from_each) {
    using enum Standing;
    Health health;
    const Pid pid{100}, other{101};
    BOOST_TEST((health.standing_of(pid) == served));
    health.set_full(pid, true);
    BOOST_TEST((health.standing_of(pid) == full));
    health.set_healthy(pid, false);
    BOOST_TEST((health.standing_of(pid) == unmet));
    BOOST_TEST((health.standing_of(other) == served));
    health.set_healthy(pid, true);
    BOOST_TEST((health.standing_of(pid) == full));
    health.set_full(pid, false);
    BOOST_TEST((health.standing_of(pid) == served));
    health.set_healthy(pid, false);
    health.forget(pid);  // another process may get its number
    BOOST_TEST((health.standing_of(pid) == served));
}

BOOST_AUTO_TEST_CASE(a_socket_without_clients_closes_at_the_first_look) {
    Departure departure(start, 3s);
    BOOST_TEST((departure.next_look() == start + 20ms));
    BOOST_TEST(departure.looked(start + 20ms, false, {}));
    BOOST_TEST(!departure.gave_up());
}

BOOST_AUTO_TEST_CASE(a_socket_closes_when_its_queue_is_empty) {
    Departure departure(start, 3s);
    BOOST_TEST(!departure.looked(start + 20ms, true, {}));
    BOOST_TEST((departure.next_look() == start + 60ms));
    BOOST_TEST(!departure.looked(start + 60ms, true, {}));
    BOOST_TEST((departure.next_look() == start + 140ms));
    BOOST_TEST(departure.looked(start + 140ms, false, {}));
    BOOST_TEST(!departure.gave_up());
}

BOOST_AUTO_TEST_CASE(only_handshakes_of_the_first_look_are_waited_for) {
    Departure departure(start, 3s);
    BOOST_TEST(!departure.looked(start + 20ms, false, handshakes({1, 5, 9})));
    BOOST_TEST(!departure.looked(start + 60ms, false, handshakes({2, 5, 9, 11})));
    BOOST_TEST(!departure.looked(start + 140ms, false, handshakes({5, 11})));
    BOOST_TEST(departure.looked(start + 300ms, false, handshakes({1, 2, 9, 11})));
    BOOST_TEST(!departure.gave_up());
}

BOOST_AUTO_TEST_CASE(after_its_limit_a_socket_closes_with_whoever_is_left) {
    Departure departure(start, 1h);
    TimePoint now = start;
    int looks = 0;
    do {
        now = departure.next_look();
        BOOST_REQUIRE(++looks < 100);
    } while (!departure.looked(now, true, {}));
    BOOST_TEST((now == start + Departure::limit));
    BOOST_TEST(departure.gave_up());
    BOOST_TEST(looks < 25);
    Departure hasty(start, 1s);
    while (!hasty.looked(hasty.next_look(), false, handshakes({3}))) now = hasty.next_look();
    BOOST_TEST((now == start + 1s));
}

BOOST_AUTO_TEST_CASE(a_socket_that_may_have_got_clients_again_is_looked_at_again) {
    Departure departure(start, 1s);
    BOOST_TEST(!departure.looked(start + 20ms, false, handshakes({1})));
    departure.look_again(start + 990ms);
    BOOST_TEST((departure.next_look() == start + 1010ms));
    BOOST_TEST(departure.looked(start + 1010ms, false, {}));
    BOOST_TEST(!departure.gave_up());
}

BOOST_AUTO_TEST_SUITE_END()
