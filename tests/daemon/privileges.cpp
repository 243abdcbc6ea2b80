#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "client.hpp"
#include "daemon.hpp"
#include "master/processes.hpp"
#include "needs_root.hpp"

// What a worker may do: nothing that it doesn't need.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::master::read_proc;

namespace {

const std::vector<std::string> capability_sets{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};

/// The line of /proc/PID/maps at which the program begins, and that of the C library.
std::string layout_of(pid_t pid) {
    std::istringstream lines(read_proc(preforkd::Pid{pid}, "maps"));
    std::string layout;
    for (std::string line; std::getline(lines, line);)
        for (const char* const part : {"preforkd", "libc.so", "[stack]", "[heap]"})
            if (line.ends_with(part) || (line.find(part) != std::string::npos &&
                                         line.find(" 00000000 ") != std::string::npos))
                layout += line.substr(0, line.find('-')) + " ";
    return layout;
}

/// Root in a container often may not.
boost::test_tools::assertion_result may_spare_from_oom(boost::unit_test::test_unit_id) {
    const std::uint64_t ours = std::stoull(status_of(::getpid())["CapEff"], nullptr, 16);
    boost::test_tools::assertion_result result((ours >> CAP_SYS_RESOURCE & 1) != 0);
    result.message() << "needs CAP_SYS_RESOURCE";
    return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(privileges)

BOOST_AUTO_TEST_CASE(all_ids_of_a_worker_are_the_configured_users, *precondition(needs_root)) {
    Daemon server({.keys = "workers = 2\nuser = nobody\ngroup = nogroup\n"});
    server.start();
    const passwd* const user = ::getpwnam("nobody");
    const group* const group = ::getgrnam("nogroup");
    BOOST_REQUIRE(user != nullptr);
    BOOST_REQUIRE(group != nullptr);
    const std::string uid = std::to_string(user->pw_uid), gid = std::to_string(group->gr_gid);
    for (const pid_t worker : server.workers()) {
        auto status = status_of(worker);
        BOOST_TEST(status["Uid"] == uid + "\t" + uid + "\t" + uid + "\t" + uid);
        BOOST_TEST(status["Gid"] == gid + "\t" + gid + "\t" + gid + "\t" + gid);
        BOOST_TEST((status["Groups"] == "" || status["Groups"] == gid), status["Groups"]);
    }
    BOOST_TEST(status_of(server.pid())["Uid"] == "0\t0\t0\t0");
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_callers_groups_are_not_handed_on, *precondition(needs_root)) {
    Daemon server({.parent = [] {
        const gid_t groups[] = {0, 4, 27};
        if (::setgroups(3, groups) < 0) ::_exit(96);
    }});
    server.start();
    for (const pid_t worker : server.workers()) {
        std::istringstream groups(status_of(worker)["Groups"]);
        for (gid_t group = 0; groups >> group;)
            BOOST_TEST((group != 0 && group != 4 && group != 27), group);
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(without_a_user_root_chooses_one_and_says_so, *precondition(needs_root)) {
    Daemon server;
    server.start();
    server.inbox().gather();
    BOOST_TEST(server.inbox().whole_log().find("no user is configured; workers run as") !=
               std::string::npos);
    for (const pid_t worker : server.workers())
        BOOST_TEST(status_of(worker)["Uid"].substr(0, 2) != "0\t");
    server.stop();
}

BOOST_AUTO_TEST_CASE(all_five_capability_sets_of_a_worker_are_empty, *precondition(needs_root)) {
    Daemon server;
    server.start();
    for (const pid_t worker : server.workers())
        for (const std::string& set : capability_sets)
            BOOST_TEST(status_of(worker)[set] == "0000000000000000", set);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_master_keeps_only_the_capabilities_it_needs, *precondition(needs_root)) {
    const auto set_of = [](std::initializer_list<int> capabilities) {
        std::uint64_t set = 0;
        for (const int capability : capabilities) set |= std::uint64_t{1} << capability;
        return set;
    };
    const std::uint64_t effective =
        set_of({CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_KILL, CAP_NET_BIND_SERVICE, CAP_NET_ADMIN,
                CAP_SYS_RESOURCE, CAP_SYS_PTRACE});
    const std::uint64_t permitted = effective | set_of({CAP_CHOWN, CAP_DAC_OVERRIDE});
    auto ours = status_of(::getpid());
    const auto at_most = [&](const std::string& name, std::uint64_t allowed) {
        return std::stoull(ours[name], nullptr, 16) & allowed;  // a container may give us less
    };
    Daemon server;
    server.launch();
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    server.send(SIGUSR1);
    server.wait_for_line({"logs reopened"});
    auto status = status_of(server.pid());
    BOOST_TEST(std::stoull(status["CapEff"], nullptr, 16) == at_most("CapEff", effective));
    BOOST_TEST(std::stoull(status["CapPrm"], nullptr, 16) == at_most("CapPrm", permitted));
    BOOST_TEST(std::stoull(status["CapBnd"], nullptr, 16) == at_most("CapBnd", permitted));
    BOOST_TEST(status["CapAmb"] == "0000000000000000");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_reload_reaches_what_a_start_could, *precondition(needs_root)) {
    // Root alone, without its power over others' files, could not even enter.
    const TempFolder closed;
    std::filesystem::create_directory(closed / "site");
    BOOST_REQUIRE(::chown(closed.path().c_str(), nobody, nobody) == 0);
    BOOST_REQUIRE(::chmod(closed.path().c_str(), 0700) == 0);
    Daemon server;
    server.launch();
    server.configure(listener("echo") +
                     listener("web", "http", "root = " + (closed / "site") + "\n"));
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(Client(server.address("web")).ask("GET / HTTP/1.0\r\n\r").starts_with("HTTP/1.1 "));
    server.stop();
}

BOOST_AUTO_TEST_CASE(when_memory_runs_out_workers_die_before_their_master,
                     *precondition(may_spare_from_oom)) {
    const auto score_of = [](pid_t pid) {
        return std::stoi(read_proc(preforkd::Pid{pid}, "oom_score_adj"));
    };
    for (const char* const before : {"0", "300", "-950"}) {
        Daemon server(
            {.parent = [before] { std::ofstream("/proc/self/oom_score_adj") << before; }});
        server.start();
        const int ours = std::stoi(before);
        BOOST_TEST(score_of(server.pid()) == std::min(ours, -900), before);
        for (const pid_t worker : server.workers())
            BOOST_TEST(score_of(worker) == std::max(ours, 0), before);
        server.stop();
    }
}

BOOST_AUTO_TEST_CASE(what_others_spare_a_master_is_not_for_its_workers, *precondition(needs_root)) {
    Daemon server({.parent = [] { std::ofstream("/proc/self/oom_score_adj") << "300"; }});
    server.start();
    for (const pid_t worker : server.workers())
        BOOST_TEST(read_proc(preforkd::Pid{worker}, "oom_score_adj") == "300\n");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_respawned_and_a_reloaded_worker_have_no_more, *precondition(needs_root)) {
    Daemon server({.keys = "workers = 1\n"});
    server.start();
    server.mark();
    Process(server.worker("main/0")).send(SIGKILL);
    server.wait_for_line({"worker ready"});
    for (int generation = 1; generation <= 2; ++generation) {
        auto status = status_of(server.worker("main/0 gen " + std::to_string(generation)));
        BOOST_TEST(status["Uid"].substr(0, 2) != "0\t");
        for (const std::string& set : capability_sets)
            BOOST_TEST(status[set] == "0000000000000000", set);
        if (generation == 2) break;
        server.send(SIGHUP);
        server.wait_for_line({"worker exited", "generation=1"});
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_can_gain_no_privilege_and_leaves_no_core) {
    Daemon server({.sections = listener("echo", "probe"), .probe = true});
    server.start();
    for (const pid_t worker : server.workers()) BOOST_TEST(status_of(worker)["NoNewPrivs"] == "1");
    BOOST_TEST(status_of(server.pid())["NoNewPrivs"] == "0");
    Client client(server.address());
    BOOST_TEST(client.ask("dumpable") == "0");
    BOOST_TEST(client.ask("core_limit") == "0 0");
    BOOST_TEST(client.ask("death_signal") == std::to_string(SIGTERM));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_is_closed_to_others_of_its_user, *precondition(needs_root)) {
    // An undumpable process belongs to root in /proc, so not even its own user can look into it.
    Daemon server;
    server.start();
    for (const pid_t worker : server.workers()) {
        struct stat memory {};
        const std::string path = "/proc/" + std::to_string(worker) + "/mem";
        BOOST_REQUIRE(::stat(path.c_str(), &memory) == 0);
        BOOST_TEST(memory.st_uid == 0u);
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(each_worker_has_an_address_layout_of_its_own, *precondition(needs_root)) {
    Daemon server({.keys = "workers = 4\n"});
    server.start();
    std::set<std::string> layouts;
    for (const pid_t worker : server.workers()) layouts.insert(layout_of(worker));
    layouts.insert(layout_of(server.pid()));
    BOOST_TEST(layouts.size() == 5u);
    BOOST_TEST(!layouts.contains(""));
    server.stop();
}

BOOST_AUTO_TEST_CASE(without_root_it_works_and_says_once_what_is_reduced,
                     *precondition(needs_root)) {
    Daemon server({.parent = become_nobody});
    server.give_to(nobody, nobody);
    server.launch();
    BOOST_TEST(server.count_lines({"warning", "not started as root"}) == 1u);
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    for (const pid_t worker : server.workers()) {
        auto status = status_of(worker);
        BOOST_TEST(status["Uid"] == "65534\t65534\t65534\t65534");
        BOOST_TEST(status["NoNewPrivs"] == "1");
        for (const std::string& set : capability_sets)
            if (set != "CapBnd") BOOST_TEST(status[set] == "0000000000000000", set);
    }
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
