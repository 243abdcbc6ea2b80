#include "master/listener_group.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "master/handshakes.hpp"
#include "process_support.hpp"
#include "tests/daemon/needs_refusal.hpp"

// Groups of real sockets: whether the kernel does with them what we count on.

using namespace preforkd;
using namespace preforkd::master;
using preforkd::testing::in_child;
using preforkd::testing::TempFolder;
using Members = std::vector<Member>;

namespace {

constexpr unsigned backlog = 64;
constexpr int patience = 10'000;  // milliseconds; a failure limit

Address address_of(const std::string& text) {
    const auto parsed = parse_address(text, "/", resolve_by_system);
    BOOST_REQUIRE_MESSAGE(parsed.problem.empty(), parsed.problem);
    return parsed.addresses.front();
}

std::unique_ptr<ListenerGroup> group_at(const std::string& address, Member members = 1,
                                        bool client_speaks_first = false) {
    const ListenerOptions options{.backlog = backlog, .client_speaks_first = client_speaks_first};
    auto first = Listener::open(address_of(address), options);
    BOOST_REQUIRE(first.has_value());
    auto group = std::make_unique<ListenerGroup>(std::move(*first), address, options);
    for (Member member = 1; member < members; ++member) BOOST_REQUIRE(!group->provide(member));
    return group;
}

/// A client that has begun to connect, and maybe is connected.
UniqueFd begin_to_connect(const ListenerGroup& group) {
    Address there = group.address();
    UniqueFd client(::socket(there.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    BOOST_REQUIRE(client.is_open());
    if (::connect(client.get(), there.get(), there.length) < 0)
        BOOST_REQUIRE_MESSAGE(errno == EINPROGRESS, last_error().message());
    return client;
}

bool is_ready(const UniqueFd& socket, short events, int milliseconds) {
    pollfd question{socket.get(), events, 0};
    return ::poll(&question, 1, milliseconds) > 0 && (question.revents & events) != 0;
}

/// connect(2) within this machine is done by the time it returns, or not at all for a while.
bool is_connected(const UniqueFd& client, int milliseconds = 0) {
    return is_ready(client, POLLOUT, milliseconds);
}

UniqueFd accept_from(const ListenerGroup& group, Member member) {
    return UniqueFd(::accept4(group.socket(member).get(), nullptr, nullptr, SOCK_CLOEXEC));
}

/// Connects `count` clients and says how many each socket got.
std::map<Member, int> share_out(const ListenerGroup& group, int count = 60) {
    std::map<Member, int> got;
    for (int i = 0; i < count; ++i) {
        const UniqueFd client = begin_to_connect(group);
        BOOST_REQUIRE(is_connected(client, patience));
        for (const Member member : group.members())
            if (accept_from(group, member).is_open()) ++got[member];
    }
    return got;
}

Members who(const std::map<Member, int>& got) {
    Members members;
    for (const auto& [member, count] : got) members.push_back(member);
    return members;
}

bool has_ipv6() {
    const UniqueFd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 loopback{};
    loopback.sin6_family = AF_INET6;
    loopback.sin6_addr = in6addr_loopback;
    return ::bind(socket.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback) == 0;
}

/// IPv4 and IPv6, and the wildcards of both.
std::vector<std::string> addresses() {
    std::vector<std::string> all{"127.0.0.1:0", "0.0.0.0:0"};
    if (has_ipv6()) all.insert(all.end(), {"[::1]:0", "[::]:0"});
    return all;
}

/// Without the right to filter other people's packets: the body runs as nobody.
int as_nobody(const std::function<int()>& body) {
    return in_child([&] {
        if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) < 0) return 90;
        return body();
    });
}

/// What softly closing has to do, however it is done. Returns the line that failed.
int close_and_take_back(const std::string& address, ListenerGroup::Closing expected) {
    const auto group = group_at(address, 3);
    if (group->steer({0, 2})) return __LINE__;
    const UniqueFd waiting = begin_to_connect(*group);
    if (!is_connected(waiting, patience)) return __LINE__;
    if (group->close_softly() != expected) return __LINE__;
    // Late: it is dropped, not refused, and what waits still waits.
    const UniqueFd late = begin_to_connect(*group);
    if (is_connected(late)) return __LINE__;
    if (!group->has_queue(0) && !group->has_queue(2)) return __LINE__;
    const Member has = group->has_queue(0) ? 0 : 2;
    if (!accept_from(*group, has).is_open()) return __LINE__;
    if (group->has_queue(0) || group->has_queue(1) || group->has_queue(2)) return __LINE__;
    // A slot may go meanwhile, and another come.
    group->remove(2);
    if (group->provide(3)) return __LINE__;
    const UniqueFd later = begin_to_connect(*group);
    if (is_connected(later)) return __LINE__;
    group->take_back();
    if (group->steer({0, 3})) return __LINE__;
    // They try again, about a second after their first attempt.
    if (!is_connected(late, patience) || !is_connected(later, patience)) return __LINE__;
    const Members served = who(share_out(*group));
    return served == Members{0, 3} ? 0 : __LINE__;
}

/// A successor on the same address gets who came too late.
int hand_late_clients_to_a_successor(const std::string& address) {
    auto group = group_at(address, 2);
    const auto closing = group->close_softly();
    if (closing == ListenerGroup::Closing::not_at_all) return __LINE__;
    const UniqueFd late = begin_to_connect(*group);
    if (is_connected(late)) return __LINE__;
    const std::string at = group->address().text;
    group->remove(0);
    group->remove(1);
    if (group->is_open()) return __LINE__;
    const auto successor = group_at(at);
    return is_connected(late, patience) ? 0 : __LINE__;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(listener_group)

BOOST_AUTO_TEST_CASE(clients_reach_only_the_sockets_that_are_named) {
    for (const std::string& address : addresses()) {
        const auto group = group_at(address, 5);
        for (const Members& targets : {Members{0, 1, 2, 3, 4}, Members{3}, Members{0, 2, 4},
                                       Members{1, 2, 3}, Members{0}, Members{4, 0}}) {
            BOOST_REQUIRE(!group->steer(targets));
            Members sorted = targets;
            std::ranges::sort(sorted);
            BOOST_TEST(who(share_out(*group, 80)) == sorted, boost::test_tools::per_element());
        }
    }
}

BOOST_AUTO_TEST_CASE(clients_are_spread_evenly) {
    const auto group = group_at("127.0.0.1:0", 4);
    BOOST_REQUIRE(!group->steer({0, 1, 3}));
    for (const auto& [member, count] : share_out(*group, 600)) {
        BOOST_TEST(member != 2u);
        BOOST_TEST(count > 120);  // of 200; less has a chance of 10^-12
    }
}

BOOST_AUTO_TEST_CASE(a_socket_that_joins_gets_nobody_until_it_is_named) {
    const auto group = group_at("127.0.0.1:0", 1);
    BOOST_REQUIRE(!group->provide(1));
    BOOST_TEST(who(share_out(*group)) == Members{0}, boost::test_tools::per_element());
    BOOST_REQUIRE(!group->steer({0, 1}));
    BOOST_REQUIRE(!group->provide(2));
    BOOST_TEST(who(share_out(*group)) == (Members{0, 1}), boost::test_tools::per_element());
    BOOST_REQUIRE(!group->provide(2));  // it is there already
    BOOST_TEST(group->members().size() == 3u);
}

BOOST_AUTO_TEST_CASE(over_any_history_clients_reach_exactly_the_targets) {
    std::mt19937 random(3);
    for (int history = 0; history < 6; ++history) {
        const auto group = group_at("127.0.0.1:0", 3);
        for (int step = 0; step < 25; ++step) {
            const auto member = static_cast<Member>(random() % 8);
            const Members now = group->members();
            const bool exists = std::ranges::count(now, member) > 0;
            if (exists && now.size() > 1)
                group->remove(member);
            else if (!exists)
                BOOST_REQUIRE(!group->provide(member));
            Members targets;
            for (const Member one : group->members())
                if (random() % 3 != 0) targets.push_back(one);
            if (targets.empty()) targets = group->members();
            BOOST_REQUIRE(!group->steer(targets));
            BOOST_TEST(who(share_out(*group, 12 * static_cast<int>(targets.size()))) == targets,
                       boost::test_tools::per_element());
        }
    }
}

BOOST_AUTO_TEST_CASE(a_removed_socket_is_out_even_if_somebody_keeps_it) {
    const auto group = group_at("127.0.0.1:0", 3);
    const UniqueFd kept(::dup(group->socket(1).get()));
    BOOST_REQUIRE(!group->steer({0, 2}));
    BOOST_TEST(group->remove(1));
    BOOST_TEST(who(share_out(*group)) == (Members{0, 2}), boost::test_tools::per_element());
    BOOST_TEST(::accept4(kept.get(), nullptr, nullptr, 0) == -1);
}

BOOST_AUTO_TEST_CASE(a_removal_that_moves_the_only_target_is_told) {
    const auto group = group_at("127.0.0.1:0", 3);
    BOOST_REQUIRE(!group->steer({2}));
    BOOST_TEST(!group->remove(0));
    BOOST_TEST(who(share_out(*group)) == Members{2}, boost::test_tools::per_element());
    BOOST_TEST(group->remove(1));  // the last by now, so nobody moves
    BOOST_TEST(who(share_out(*group)) == Members{2}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_softly_closed_listener_drops_late_clients_and_can_be_taken_back) {
    using enum ListenerGroup::Closing;
    for (const std::string& address : addresses()) {
        BOOST_TEST_CONTEXT("nobody at " << address) {
            BOOST_TEST(as_nobody([&] { return close_and_take_back(address, by_sink); }) == 0);
        }
        if (::geteuid() != 0) continue;
        BOOST_TEST_CONTEXT("root at " << address) {
            BOOST_TEST(close_and_take_back(address, by_filter) == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_successor_gets_late_clients) {
    for (const std::string& address : addresses()) {
        BOOST_TEST_CONTEXT("at " << address) {
            BOOST_TEST(hand_late_clients_to_a_successor(address) == 0);
            BOOST_TEST(as_nobody([&] { return hand_late_clients_to_a_successor(address); }) == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_single_socket_can_be_closed_softly_too) {
    BOOST_TEST(as_nobody([] {
                   const auto group = group_at("127.0.0.1:0");
                   if (group->close_softly() != ListenerGroup::Closing::by_sink) return 1;
                   const UniqueFd late = begin_to_connect(*group);
                   if (is_connected(late)) return 2;
                   group->take_back();
                   if (!is_connected(late, patience)) return 3;
                   return accept_from(*group, 0).is_open() ? 0 : 4;
               }) == 0);
}

BOOST_AUTO_TEST_CASE(a_silent_client_shows_when_its_socket_leaves) {
    const auto group = group_at("127.0.0.1:0", 2, /*client_speaks_first=*/true);
    BOOST_REQUIRE(!group->steer({1}));
    const UniqueFd silent = begin_to_connect(*group);
    BOOST_REQUIRE(is_connected(silent, patience));
    BOOST_TEST(!group->has_queue(1));
    const auto before = pending_handshakes(group->address());
    BOOST_REQUIRE(before.has_value());
    BOOST_TEST(before->size() == 1u);
    BOOST_REQUIRE(!group->steer({0}));
    group->set_leaving(1, true);
    BOOST_TEST(is_ready(group->socket(1), POLLIN, patience));
    BOOST_TEST(group->has_queue(1));
    BOOST_TEST(pending_handshakes(group->address())->empty());
    group->apply({.backlog = backlog, .client_speaks_first = true});  // not for the leaver
    int seconds = 0;
    socklen_t size = sizeof seconds;
    ::getsockopt(group->socket(1).get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size);
    BOOST_TEST(seconds == 0);
    group->set_leaving(1, false);
    ::getsockopt(group->socket(1).get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size);
    BOOST_TEST(seconds == 1);
}

BOOST_AUTO_TEST_CASE(handshakes_of_other_addresses_are_not_counted) {
    for (const std::string& address : addresses()) {
        const auto mine = group_at(address, 1, true), other = group_at("127.0.0.1:0", 1, true);
        const UniqueFd to_mine = begin_to_connect(*mine), to_other = begin_to_connect(*other);
        BOOST_REQUIRE(is_connected(to_mine, patience) && is_connected(to_other, patience));
        BOOST_TEST(pending_handshakes(mine->address())->size() == 1u);
    }
    const auto here = group_at("127.0.0.1:0", 1, true);
    const std::string port = here->address().text.substr(here->address().text.rfind(':'));
    const auto there = group_at("127.0.0.2" + port, 1, true);
    const UniqueFd client = begin_to_connect(*here);
    BOOST_TEST(pending_handshakes(here->address())->size() == 1u);
    BOOST_TEST(pending_handshakes(there->address())->empty());
}

BOOST_AUTO_TEST_CASE(a_unix_socket_closes_by_its_path) {
    const TempFolder folder;
    const auto group = group_at("unix:" + (folder / "s"));
    BOOST_TEST(!group->may_have_several());
    const UniqueFd waiting = begin_to_connect(*group);
    BOOST_TEST((group->close_softly() == ListenerGroup::Closing::by_path));
    BOOST_TEST(::access((folder / "s").c_str(), F_OK) == -1);
    BOOST_TEST(group->has_queue(0));
    const auto successor = group_at("unix:" + (folder / "s"));
    group->remove(0);
    BOOST_TEST(::access((folder / "s").c_str(), F_OK) == 0);  // the successor's
}

BOOST_AUTO_TEST_CASE(nobody_passes_descriptors_over_a_unix_listener,
                     *boost::unit_test::precondition(testing::needs_refusal)) {
    const TempFolder folder;
    const auto group = group_at("unix:" + (folder / "s"));
    const UniqueFd client = begin_to_connect(*group);
    BOOST_TEST(!testing::passes_descriptors(accept_from(*group, 0)));
}

BOOST_AUTO_TEST_CASE(a_socket_that_was_shut_down_shows_and_is_bound_anew_in_its_place) {
    const TempFolder folder;
    const auto at_path = group_at("unix:" + (folder / "s"));
    const UniqueFd kept(::dup(at_path->socket(0).get()));
    BOOST_TEST(at_path->listens(0));
    ::shutdown(kept.get(), SHUT_RD);
    BOOST_TEST(!at_path->listens(0));
    BOOST_TEST(!at_path->renew(0));
    BOOST_TEST(at_path->listens(0));
    BOOST_TEST(is_connected(begin_to_connect(*at_path)));
    for (const std::string& address : addresses()) {
        const auto group = group_at(address, 3);
        BOOST_TEST(!group->steer({0, 1, 2}));
        const UniqueFd one(::dup(group->socket(1).get()));
        const UniqueFd waiting = begin_to_connect(*group);
        ::shutdown(one.get(), SHUT_RDWR);
        BOOST_TEST(group->listens(0));
        BOOST_TEST(!group->listens(1));
        BOOST_TEST(!group->renew(1));
        BOOST_TEST(group->listens(1));
        for (const Members& targets : {Members{0}, Members{1}, Members{2}, Members{0, 1, 2}}) {
            for (const Member member : group->members())
                while (accept_from(*group, member).is_open()) continue;
            BOOST_TEST(!group->steer(targets));
            BOOST_TEST(who(share_out(*group)) == targets);
        }
    }
}

BOOST_AUTO_TEST_CASE(an_adopted_socket_stays_with_whoever_made_it) {
    const auto theirs = group_at("127.0.0.1:0");
    auto adopted = Listener::adopt(UniqueFd(::dup(theirs->socket(0).get())));
    BOOST_REQUIRE(adopted.has_value());
    ListenerGroup group(std::move(*adopted), "127.0.0.1:0", {.backlog = backlog});
    BOOST_TEST(!group.may_have_several());
    BOOST_TEST((group.close_softly() == ListenerGroup::Closing::not_at_all));
    const UniqueFd client = begin_to_connect(*theirs);
    BOOST_TEST(is_connected(client, patience));
    group.remove(0);
    BOOST_TEST(accept_from(*theirs, 0).is_open());
    BOOST_TEST(who(share_out(*theirs, 5)) == Members{0}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
