#include "master/listeners.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <map>

#include "master/address_holder.hpp"
#include "process_support.hpp"
#include "shared/exit_code.hpp"
#include "shared/process_title.hpp"

using namespace preforkd;
using namespace preforkd::master;
using preforkd::testing::in_child;
using preforkd::testing::Pipe;
using preforkd::testing::read_until_closed;
using preforkd::testing::start_child;
using preforkd::testing::TempFolder;
using preforkd::testing::wait_for;

namespace {

const std::vector<ServiceSpec> services = [] {
    ServiceSpec http, echo;
    http.name = "http";
    http.client_speaks_first = true;
    echo.name = "echo";
    return std::vector<ServiceSpec>{http, echo};
}();

Address address_of(const std::string& text) {
    const auto parsed = parse_address(text, "/", resolve_by_system);
    BOOST_REQUIRE_MESSAGE(parsed.problem.empty(), parsed.problem);
    return parsed.addresses.front();
}

struct Section {
    std::string name;
    std::vector<std::string> addresses;
    std::string service = "echo";
    unsigned backlog = 16;
};

Config config_of(const std::vector<Section>& sections) {
    Config config;
    config.program = "preforkd";
    unsigned line = 0;
    for (const Section& wanted : sections) {
        ListenSection section;
        section.name = wanted.name;
        section.service = wanted.service;
        section.backlog = wanted.backlog;
        for (const std::string& text : wanted.addresses) {
            section.addresses.push_back(address_of(text));
            section.origins.of_address.push_back({"p.conf", ++line});
        }
        config.listeners.push_back(std::move(section));
    }
    return config;
}

ListenerSet open_set(const std::vector<Section>& sections) {
    return ListenerSet::open(config_of(sections), services, 0, "preforkd");
}

/// What went wrong, or nothing.
struct Refusal {
    std::string text;
    int exit_code = 0;
};

template <class Open>
Refusal refusal_of(Open open) {
    try {
        const ListenerSet set = open();
        return {};
    } catch (const StartupError& error) {
        return {error.what(), error.exit_code()};
    }
}

bool mentions(const std::string& text, const std::string& part) {
    if (text.find(part) != std::string::npos) return true;
    BOOST_TEST_MESSAGE("not in: " << text);
    return false;
}

int option_of(const UniqueFd& socket, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    BOOST_TEST(::getsockopt(socket.get(), level, name, &value, &length) == 0);
    return value;
}

/// Whether a client gets a connection there.
bool can_connect(const std::string& text) {
    const Address address = address_of(text);
    const UniqueFd client(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(client.get(), address.get(), address.length) == 0;
}

/// The first socket of each of a section's addresses.
std::vector<const UniqueFd*> sockets_of(const ListenerSet& set, const std::string& section) {
    std::vector<const UniqueFd*> sockets;
    for (const Place& place : set.places_of(section, 0))
        sockets.push_back(&place.group->socket(place.member));
    return sockets;
}

bool is_ours(const UniqueFd& socket) {
    return option_of(socket, SOL_SOCKET, SO_ACCEPTCONN) == 1;
}

/// A listening socket without SO_REUSEPORT, on a port that the kernel chose.
struct Foreign {
    UniqueFd socket;
    std::string address;

    explicit Foreign(const std::string& where = "127.0.0.1:0") {
        const Address wanted = address_of(where);
        socket.reset(::socket(wanted.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
        BOOST_REQUIRE(::bind(socket.get(), wanted.get(), wanted.length) == 0);
        BOOST_REQUIRE(::listen(socket.get(), 5) == 0);
        sockaddr_storage storage{};
        socklen_t length = sizeof storage;
        BOOST_REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &length) ==
                      0);
        address = make_address(reinterpret_cast<sockaddr*>(&storage), length).text;
    }
    [[nodiscard]] std::string port() const { return address.substr(address.rfind(':')); }
};

bool has_ipv6() {
    return ::access("/proc/net/if_inet6", F_OK) == 0 && can_connect(Foreign("[::1]:0").address);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(listeners)

BOOST_AUTO_TEST_CASE(port_0_is_read_back_and_serves) {
    const ListenerSet set = open_set({{"a", {"127.0.0.1:0"}}, {"b", {"127.0.0.1:0"}}});
    const auto addresses = set.addresses();
    BOOST_REQUIRE(addresses.size() == 2u);
    BOOST_TEST(addresses[0].first == "a");
    BOOST_TEST(addresses[1].first == "b");
    BOOST_TEST(addresses[0].second != addresses[1].second);
    for (const auto& [section, address] : addresses) {
        BOOST_TEST(!address.ends_with(":0"));
        BOOST_TEST(can_connect(address));
        BOOST_TEST(sockets_of(set, section).size() == 1u);
    }
}

BOOST_AUTO_TEST_CASE(sockets_are_as_the_workers_need_them) {
    const ListenerSet set =
        open_set({{"web", {"127.0.0.1:0"}, "http"}, {"echo", {"127.0.0.1:0"}, "echo"}});
    const UniqueFd& web = *sockets_of(set, "web").front();
    BOOST_TEST((::fcntl(web.get(), F_GETFL) & O_NONBLOCK) != 0);
    BOOST_TEST((::fcntl(web.get(), F_GETFD) & FD_CLOEXEC) != 0);
    BOOST_TEST(option_of(web, SOL_SOCKET, SO_REUSEPORT) == 1);
    BOOST_TEST(option_of(web, IPPROTO_TCP, TCP_NODELAY) == 1);
    BOOST_TEST(option_of(web, IPPROTO_TCP, TCP_NOTSENT_LOWAT) == 128 * 1024);
    BOOST_TEST(option_of(web, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 1);
    const UniqueFd& echo = *sockets_of(set, "echo").front();
    BOOST_TEST(option_of(echo, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 0);
}

BOOST_AUTO_TEST_CASE(more_sockets_of_ours_can_join_a_port) {
    const ListenerSet set = open_set({{"a", {"127.0.0.1:0"}}});
    const auto joining = Listener::open(address_of(set.addresses()[0].second),
                                        {.backlog = 5, .beside_our_own = true});
    BOOST_TEST(joining.has_value());
}

BOOST_AUTO_TEST_CASE(ipv4_and_ipv6_wildcards_stand_side_by_side) {
    if (!has_ipv6()) {
        BOOST_TEST_MESSAGE("skipped: no IPv6 here");
        return;
    }
    const ListenerSet first = open_set({{"a", {"*:0"}}});
    const std::string port = first.addresses()[0].second.substr(std::string("0.0.0.0").size());
    const auto second = Listener::open(address_of("[::]" + port), {.backlog = 5});
    BOOST_TEST(second.has_value());
}

BOOST_AUTO_TEST_CASE(a_taken_port_names_the_section_the_line_and_the_holder) {
    const Foreign foreign;
    Pipe taken, go;
    const pid_t holder = start_child([&] {
        ::prctl(PR_SET_NAME, "other server");
        go.writing.reset();
        taken.writing.reset();
        return static_cast<int>(read_until_closed(go.reading).size());
    });
    taken.writing.reset();
    read_until_closed(taken.reading);
    const Refusal refusal = refusal_of([&] {
        return open_set({{"web", {"127.0.0.1:0", foreign.address}}});
    });
    BOOST_TEST(refusal.exit_code == exit_failure);
    BOOST_TEST(mentions(refusal.text, "p.conf:2: listen.web: can't listen on " + foreign.address));
    BOOST_TEST(mentions(refusal.text, fmt::format("in use by pid {} (other server)", holder)));
    BOOST_TEST(mentions(refusal.text, "stop it, or choose another address"));
    go.writing.reset();
    BOOST_TEST(wait_for(holder) == 0);
}

// Its name went to root's terminal as it was, and may hold what commands that.
BOOST_AUTO_TEST_CASE(the_name_of_a_holder_commands_no_terminal) {
    const Foreign foreign;
    Pipe taken, go;
    const pid_t holder = start_child([&] {
        ::prctl(PR_SET_NAME, "\x1b]0;a\nb\x07\x7f\xc2\x9b");
        go.writing.reset();
        taken.writing.reset();
        return static_cast<int>(read_until_closed(go.reading).size());
    });
    taken.writing.reset();
    read_until_closed(taken.reading);
    const std::string text = find_holder(address_of(foreign.address)).text;
    BOOST_TEST(text == fmt::format("pid {} (\\x1b]0;a\\x0ab\\x07\\x7f\\xc2\\x9b)", holder));
    go.writing.reset();
    BOOST_TEST(wait_for(holder) == 0);
}

BOOST_AUTO_TEST_CASE(a_port_of_a_program_that_shares_it_is_taken_all_the_same) {
    const ListenerSet other = open_set({{"a", {"127.0.0.1:0"}}});
    const std::string address = other.addresses()[0].second;
    BOOST_TEST(mentions(refusal_of([&] {
                            return open_set({{"b", {address}}});
                        }).text,
                        "in use by"));
}

BOOST_AUTO_TEST_CASE(the_holder_of_an_overlapping_wildcard_is_found_too) {
    const Foreign foreign("*:0");
    const std::string address = "127.0.0.1" + foreign.port();
    Pipe go;
    const pid_t holder = start_child([&] {
        go.writing.reset();
        return static_cast<int>(read_until_closed(go.reading).size());
    });
    BOOST_TEST(mentions(find_holder(address_of(address)).text, fmt::format("pid {} (", holder)));
    BOOST_TEST(mentions(refusal_of([&] {
                            return open_set({{"b", {address}}});
                        }).text,
                        "in use by"));
    go.writing.reset();
    BOOST_TEST(wait_for(holder) == 0);
}

BOOST_AUTO_TEST_CASE(every_fault_is_told_in_one_run_and_nothing_stays_open) {
    const Foreign one, two;
    const TempFolder folder;
    const std::string path = folder / "s";
    const Refusal refusal = refusal_of([&] {
        return open_set({{"a", {one.address}}, {"b", {"unix:" + path, two.address}}});
    });
    BOOST_TEST(mentions(refusal.text, "p.conf:1: listen.a: can't listen on " + one.address));
    BOOST_TEST(mentions(refusal.text, "p.conf:3: listen.b: can't listen on " + two.address));
    BOOST_TEST(::access(path.c_str(), F_OK) == -1);
}

BOOST_AUTO_TEST_CASE(a_low_port_without_privilege_says_which_ports_are_free_to_use) {
    int first_free = 0;
    std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first_free;
    if (first_free < 2) {
        BOOST_TEST_MESSAGE("skipped: every port is free to use here");
        return;
    }
    BOOST_TEST(
        in_child([&] {
            if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) < 0) return 90;
            const Refusal refusal = refusal_of([] { return open_set({{"a", {"127.0.0.1:1"}}}); });
            if (refusal.exit_code != exit_no_privilege) return 1;
            return mentions(refusal.text, fmt::format("a port from {} up", first_free)) ? 0 : 2;
        }) == 0);
}

BOOST_AUTO_TEST_CASE(an_address_of_no_interface_says_so) {
    const Refusal refusal = refusal_of([] { return open_set({{"a", {"192.0.2.1:0"}}}); });
    BOOST_TEST(mentions(refusal.text, "no interface of this machine has this address"));
}

BOOST_AUTO_TEST_CASE(a_unix_socket_is_open_to_all_and_removed_at_the_end) {
    const TempFolder folder;
    const std::string path = folder / "s";
    {
        const ListenerSet set = open_set({{"a", {"unix:" + path}}});
        struct stat found {};
        BOOST_REQUIRE(::stat(path.c_str(), &found) == 0);
        BOOST_TEST((found.st_mode & 07777) == 0666u);
        BOOST_TEST(can_connect("unix:" + path));
        BOOST_TEST(set.addresses()[0].second == "unix:" + path);
    }
    BOOST_TEST(::access(path.c_str(), F_OK) == -1);
}

BOOST_AUTO_TEST_CASE(a_unix_path_that_somebody_else_took_over_is_left_alone) {
    const TempFolder folder;
    const std::string path = folder / "s";
    {
        const ListenerSet set = open_set({{"a", {"unix:" + path}}});
        BOOST_REQUIRE(::unlink(path.c_str()) == 0);
        std::ofstream(path) << "theirs";
    }
    BOOST_TEST(::access(path.c_str(), F_OK) == 0);
}

BOOST_AUTO_TEST_CASE(a_stale_unix_socket_is_replaced_a_live_one_and_other_files_are_not) {
    const TempFolder folder;
    const std::string path = folder / "s";
    const auto refusal = [&] {
        return refusal_of([&] { return open_set({{"a", {"unix:" + path}}}); }).text;
    };
    {
        const Foreign stale("unix:" + path);
        BOOST_TEST(mentions(refusal(), "in use by"));
    }
    BOOST_TEST(::access(path.c_str(), F_OK) == 0);
    BOOST_TEST(refusal() == "");

    std::ofstream(path) << "data";
    BOOST_TEST(mentions(refusal(), "something else than a socket"));
    BOOST_TEST(::access(path.c_str(), F_OK) == 0);
    ::unlink(path.c_str());

    BOOST_REQUIRE(::symlink("elsewhere", path.c_str()) == 0);
    BOOST_TEST(mentions(refusal(), "something else than a socket"));
    ::unlink(path.c_str());

    BOOST_REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
    BOOST_TEST(mentions(refusal(), "has mode 0777"));
}

// Root removed it, as if it were its own: another service's that was about to be started again.
BOOST_AUTO_TEST_CASE(a_stale_unix_socket_is_removed_if_it_is_ours_or_the_workers) {
    if (::geteuid() != 0) {
        BOOST_TEST_MESSAGE("skipped: needs root");
        return;
    }
    const TempFolder folder;
    const std::string path = folder / "s";
    const auto config = config_of({{"a", {"unix:" + path}}});
    const auto leave_a_socket_of = [&](uid_t owner) {
        const Foreign stale("unix:" + path);
        BOOST_REQUIRE(::chown(path.c_str(), owner, owner) == 0);
    };
    const auto refusal = [&](auto... workers) {
        return refusal_of(
            [&] { return ListenerSet::open(config, services, 0, "preforkd", workers...); });
    };
    leave_a_socket_of(1234);
    for (const Refusal& refused : {refusal(), refusal(1235)}) {
        BOOST_TEST(mentions(refused.text, "a socket of uid 1234, on which nobody answers"));
        BOOST_TEST(mentions(refused.text, "remove it, or choose another path"));
        BOOST_TEST(refused.exit_code == exit_failure);
    }
    BOOST_TEST(mentions(
        refusal_of([&] { return open_set({}).rebind(config, services, 1235); }).text, "uid 1234"));
    BOOST_TEST(::access(path.c_str(), F_OK) == 0);
    BOOST_TEST(refusal(1234).text == "");
    leave_a_socket_of(0);
    BOOST_TEST(refusal(1234).text == "");
    {
        const Foreign alive("unix:" + path);
        BOOST_REQUIRE(::chown(path.c_str(), 1234, 1234) == 0);
        BOOST_TEST(mentions(refusal().text, "in use by"));
    }
}

BOOST_AUTO_TEST_CASE(the_holder_of_a_unix_socket_is_named) {
    const TempFolder folder;
    const std::string address = "unix:" + (folder / "with space");
    const Foreign foreign(address);
    Pipe go;
    const pid_t holder = start_child([&] {
        go.writing.reset();
        return static_cast<int>(read_until_closed(go.reading).size());
    });
    BOOST_TEST(mentions(find_holder(address_of(address)).text, fmt::format("pid {} (", holder)));
    go.writing.reset();
    BOOST_TEST(wait_for(holder) == 0);
}

BOOST_AUTO_TEST_CASE(a_reload_keeps_what_stays_and_opens_only_what_is_new) {
    const ListenerSet before = open_set({{"a", {"127.0.0.1:0"}}, {"b", {"127.0.0.1:0"}}});
    const ListenerSet after =
        before.rebind(config_of({{"new", {"127.0.0.1:0"}}, {"b", {"127.0.0.1:0"}}}), services);
    BOOST_TEST(sockets_of(after, "b").front() == sockets_of(before, "b").front());
    BOOST_TEST(sockets_of(after, "new").front() != sockets_of(before, "a").front());
    BOOST_TEST(sockets_of(after, "a").empty());
    BOOST_TEST(is_ours(*sockets_of(before, "a").front()));
}

BOOST_AUTO_TEST_CASE(an_address_that_moves_to_another_section_keeps_its_socket) {
    const TempFolder folder;
    const std::string address = "unix:" + (folder / "s");
    const ListenerSet before = open_set({{"a", {address}}});
    const ListenerSet after = before.rebind(config_of({{"b", {address}}}), services);
    BOOST_TEST(sockets_of(after, "b").front() == sockets_of(before, "a").front());
}

BOOST_AUTO_TEST_CASE(an_abandoned_reload_closes_only_what_it_opened) {
    const TempFolder folder;
    const std::string old_path = folder / "old", new_path = folder / "new";
    const ListenerSet running = open_set({{"a", {"unix:" + old_path}}});
    {
        const ListenerSet abandoned = running.rebind(
            config_of({{"a", {"unix:" + old_path}}, {"b", {"unix:" + new_path}}}), services);
        BOOST_TEST(can_connect("unix:" + new_path));
    }
    BOOST_TEST(::access(new_path.c_str(), F_OK) == -1);
    BOOST_TEST(can_connect("unix:" + old_path));
}

BOOST_AUTO_TEST_CASE(a_completed_reload_closes_what_is_no_longer_wanted) {
    const TempFolder folder;
    const std::string old_path = folder / "old", new_path = folder / "new";
    ListenerSet running = open_set({{"a", {"unix:" + old_path, "127.0.0.1:0"}}});
    const std::string gone = running.addresses()[1].second;
    running = running.rebind(config_of({{"a", {"unix:" + new_path}}}), services);
    BOOST_TEST(::access(old_path.c_str(), F_OK) == -1);
    BOOST_TEST(!can_connect(gone));
    BOOST_TEST(can_connect("unix:" + new_path));
}

BOOST_AUTO_TEST_CASE(a_refused_reload_leaves_everything_as_it_was) {
    const Foreign foreign;
    const ListenerSet running = open_set({{"a", {"127.0.0.1:0"}}});
    const Refusal refusal = refusal_of([&] {
        return running.rebind(config_of({{"a", {"127.0.0.1:0"}}, {"b", {foreign.address}}}),
                              services);
    });
    BOOST_TEST(mentions(refusal.text, "p.conf:2: listen.b: can't listen on"));
    BOOST_TEST(can_connect(running.addresses()[0].second));
}

BOOST_AUTO_TEST_CASE(a_reload_may_widen_an_address_to_the_wildcard_of_its_port) {
    ListenerSet running = open_set({{"a", {"127.0.0.1:0"}}});
    const std::string narrow = running.addresses()[0].second;
    running = running.rebind(config_of({{"a", {narrow}}}), services);
    const std::string wide = "*" + narrow.substr(narrow.rfind(':'));
    running = running.rebind(config_of({{"a", {wide}}}), services);
    BOOST_TEST(can_connect(narrow));
    running = running.rebind(config_of({{"a", {narrow}}}), services);
    BOOST_TEST(can_connect(narrow));
}

BOOST_AUTO_TEST_CASE(a_kept_socket_changes_its_manners_only_when_taken_into_service) {
    const ListenerSet before = open_set({{"a", {"127.0.0.1:0"}, "http"}});
    const ListenerSet after = before.rebind(config_of({{"a", {"127.0.0.1:0"}, "echo"}}), services);
    const UniqueFd& socket = *sockets_of(after, "a").front();
    BOOST_TEST(option_of(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 1);
    after.take_into_service();
    BOOST_TEST(option_of(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 0);
}

BOOST_AUTO_TEST_CASE(passed_sockets_that_fit_are_taken_and_the_others_closed_with_a_notice) {
    const Foreign wanted, unwanted;
    BOOST_TEST(in_child([&] {
                   const UniqueFd one(::fcntl(wanted.socket.get(), F_DUPFD, 100));
                   const UniqueFd two(::fcntl(unwanted.socket.get(), F_DUPFD, 100));
                   ::close_range(3, 99, 0);
                   if (::dup2(one.get(), 3) < 0 || ::dup2(two.get(), 4) < 0) return 90;
                   if (::dup2(0, 5) < 0) return 91;
                   const ListenerSet set =
                       ListenerSet::open(config_of({{"a", {wanted.address, "127.0.0.1:0"}}}),
                                         services, 3, "preforkd");
                   if (sockets_of(set, "a").size() != 2 || sockets_of(set, "a")[0]->get() != 3)
                       return 1;
                   if ((::fcntl(3, F_GETFL) & O_NONBLOCK) == 0) return 2;
                   if ((::fcntl(3, F_GETFD) & FD_CLOEXEC) == 0) return 3;
                   if (set.notices().size() != 2) return 4;
                   if (!mentions(set.notices()[0], "descriptor 5")) return 5;
                   if (!mentions(set.notices()[1], unwanted.address)) return 6;
                   return 0;
               }) == 0);
}

BOOST_AUTO_TEST_CASE(a_passed_unix_socket_is_left_to_whoever_made_it) {
    const TempFolder folder;
    const std::string path = folder / "s";
    const Foreign wanted("unix:" + path);
    {
        const auto adopted = Listener::adopt(UniqueFd(::dup(wanted.socket.get())));
        BOOST_REQUIRE(adopted.has_value());
        BOOST_TEST(adopted->address().text == "unix:" + path);
    }
    BOOST_TEST(::access(path.c_str(), F_OK) == 0);
}

// An orphan closes its listeners a moment after its master died: until then the port is taken.
BOOST_AUTO_TEST_CASE(a_port_that_an_orphaned_worker_holds_is_waited_for) {
    const Foreign foreign;
    const std::string title = "preforkd: worker web/0";
    Pipe up, go;
    const pid_t orphan = start_child([&] {
        up.reading.reset();
        go.writing.reset();
        // A program of that title, which ends when it has read the end of the pipe.
        if (::dup2(go.reading.get(), 0) < 0 || ::dup2(foreign.socket.get(), 9) < 0) return 90;
        ::execl("/bin/cat", title.c_str(), static_cast<char*>(nullptr));
        return 91;
    });
    const std::string address = foreign.address;
    up.writing.reset();
    read_until_closed(up.reading);  // closed by the exec: from here on it has its title
    const_cast<Foreign&>(foreign).socket.reset();

    BOOST_TEST(orphans_among(find_holder(address_of(address)), "preforkd") ==
               std::vector<Pid>{Pid{orphan}});
    BOOST_TEST(orphans_among(find_holder(address_of(address)), "bbserve").empty());
    BOOST_TEST(mentions(refusal_of([&] {
                            return open_set({{"a", {address}}});
                        }).text,
                        fmt::format("in use by pid {}", orphan)));  // it didn't leave in time

    Pipe opened;
    const pid_t starter = start_child([&] {
        opened.reading.reset();
        go.writing.reset();
        const ListenerSet set = open_set({{"a", {address}}});
        return set.addresses()[0].second == address ? 0 : 1;
    });
    go.writing.reset();
    BOOST_TEST(wait_for(orphan) == 0);
    BOOST_TEST(wait_for(starter) == 0);
}

BOOST_AUTO_TEST_CASE(each_slot_has_a_socket_of_its_own_over_reloads) {
    Config config = config_of({{"a", {"127.0.0.1:0"}}, {"b", {"127.0.0.1:0"}}});
    config.workers = 3;
    config.listeners[1].workers = 2;
    const ListenerSet before = ListenerSet::open(config, services, 0, "preforkd");
    const auto place = [](const ListenerSet& set, const char* section, std::uint32_t slot) {
        return set.places_of(section, slot).at(0);
    };
    BOOST_TEST(place(before, "a", 0).group->members().size() == 3u);
    BOOST_TEST(place(before, "b", 0).group->members().size() == 2u);
    BOOST_TEST(place(before, "a", 2).member == 2u);
    config.workers = 5;
    const ListenerSet after = before.rebind(config, services);
    BOOST_TEST((place(after, "a", 1) == place(before, "a", 1)));
    BOOST_TEST(place(after, "a", 0).group->members().size() == 5u);
    BOOST_REQUIRE(!after.provide("a", 7));
    BOOST_TEST(place(after, "a", 7).group->socket(7).is_open());
}

BOOST_AUTO_TEST_CASE(shared_listeners_have_one_socket_for_all_slots) {
    const TempFolder folder;
    Config config = config_of({{"a", {"127.0.0.1:0", "unix:" + (folder / "s")}}});
    config.workers = 3;
    config.accept = AcceptMode::shared;
    const ListenerSet shared = ListenerSet::open(config, services, 0, "preforkd");
    BOOST_TEST((shared.places_of("a", 0) == shared.places_of("a", 2)));
    config.accept = AcceptMode::slots;
    const ListenerSet slots = shared.rebind(config, services);
    BOOST_TEST((slots.places_of("a", 0) == shared.places_of("a", 0)));
    const auto third = slots.places_of("a", 2);
    BOOST_TEST(third[0].member == 2u);
    BOOST_TEST(third[1].member == 0u);  // a unix socket can't be had twice
    const ListenerSet again = slots.rebind(
        [&] {
            config.accept = AcceptMode::shared;
            return config;
        }(),
        services);
    BOOST_TEST((again.places_of("a", 2) == shared.places_of("a", 0)));
}

BOOST_AUTO_TEST_CASE(a_reload_takes_back_what_is_not_closed_yet) {
    const TempFolder folder;
    const std::string path = "unix:" + (folder / "s");
    ListenerSet running = open_set({{"a", {"127.0.0.1:0", path}}});
    const auto held = running.places_of("a", 0);
    const std::string address = running.addresses()[0].second;
    running = running.rebind(config_of({{"a", {"127.0.0.1:0"}}}), services);
    held[0].group->close_softly();
    held[1].group->close_softly();
    running = running.rebind(config_of({{"b", {address, path}}}), services);
    const auto back = running.places_of("b", 0);
    // It was found by the address that the kernel had chosen; its configured one had port 0.
    BOOST_TEST((back[0].group == held[0].group));
    BOOST_TEST((back[1].group != held[1].group));  // its path was gone
    BOOST_TEST(can_connect(path));
}

BOOST_AUTO_TEST_SUITE_END()
