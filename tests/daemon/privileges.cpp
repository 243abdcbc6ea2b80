#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
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
    BOOST_TEST(server.count_lines({"warning", "not root", "ports below 1024"}) == 1u);
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
