#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fstream>
#include <set>

#include "client.hpp"
#include "daemon.hpp"
#include "gate.hpp"
#include "needs_root.hpp"

// The rules of a proper daemon, looked up in the real processes.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::UniqueFd;

namespace {

std::vector<pid_t> master_and_workers(const Daemon& server) {
    std::vector<pid_t> all = server.workers();
    all.push_back(server.pid());
    return all;
}

/// What a worker may have open besides 0-3, whatever event loop it runs.
bool is_a_workers_own(const std::string& descriptor) {
    const std::vector<std::string> kinds{"socket:[", "anon_inode:[eventpoll]",
                                         "anon_inode:[signalfd]", "anon_inode:[timerfd]",
                                         "anon_inode:[eventfd]"};
    // How much memory it has: it could no longer open that once it is confined.
    if (descriptor.starts_with("/proc/") && descriptor.ends_with("/statm")) return true;
    return std::any_of(kinds.begin(), kinds.end(),
                       [&](const std::string& kind) { return descriptor.starts_with(kind); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(daemon_form)

BOOST_AUTO_TEST_CASE(the_launcher_returns_only_when_every_worker_is_ready) {
    Gate gate;
    Daemon server({.sections = listener("echo", "probe", "gate = " + gate.name()), .probe = true});
    server.begin_launch();
    Visitor first = gate.next();
    Visitor second = gate.next();
    first.pass();
    server.wait_for_line({"worker ready", "worker=" + std::to_string(first.pid())});
    BOOST_TEST(server.process().is_running());
    second.pass();
    BOOST_TEST(server.outcome().exit == exited(0));
    BOOST_TEST(server.inbox().printed() == "");
    BOOST_TEST(Client(server.address()).ask("anyone there?") == "anyone there?");
}

BOOST_AUTO_TEST_CASE(it_has_a_session_and_a_group_of_its_own_and_no_terminal) {
    Daemon server;
    server.launch();
    for (const pid_t pid : master_and_workers(server)) {
        const Stat stat = stat_of(pid);
        BOOST_TEST(stat.terminal == 0);
        BOOST_TEST(stat.group == server.pid());
        BOOST_TEST(stat.session == stat_of(server.pid()).session);
        BOOST_TEST(stat.session != ::getsid(0));
        // Only a session's leader can ever get a controlling terminal. tty_ioctl(4), TIOCSCTTY
        BOOST_TEST(stat.session != pid);
    }
    BOOST_TEST(server.workers().size() == 2);
    server.stop();
}

BOOST_AUTO_TEST_CASE(it_outlives_its_callers_terminal) {
    UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    BOOST_REQUIRE(::grantpt(terminal.get()) == 0 && ::unlockpt(terminal.get()) == 0);
    const std::string line = ::ptsname(terminal.get());
    Daemon server({.parent = [&] {
        // The first terminal that a session's leader opens becomes its controlling one.
        if (::setsid() < 0 || ::open(line.c_str(), O_RDWR | O_CLOEXEC) < 0) ::_exit(96);
        if (stat_of(::getpid()).terminal == 0) ::_exit(96);
    }});
    server.launch();
    const auto workers = server.workers();
    for (const pid_t pid : master_and_workers(server)) BOOST_TEST(stat_of(pid).terminal == 0);
    terminal.reset();  // hangs up
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    BOOST_TEST(server.workers() == workers, boost::test_tools::per_element());
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_can_open_no_terminal) {
    Daemon server({.sections = listener("echo", "probe"), .probe = true});
    server.launch();
    BOOST_TEST(Client(server.address()).ask("terminal") == "No such device or address");
    server.stop();
}

BOOST_AUTO_TEST_CASE(it_runs_in_the_root_folder_with_the_umask_configured) {
    Daemon server({.keys = "workers = 2\numask = 0037\n"});
    server.launch();
    for (const pid_t pid : server.open_to_us()) BOOST_TEST(link_of(pid, "cwd") == "/");
    for (const pid_t pid : master_and_workers(server))
        BOOST_TEST(status_of(pid)["Umask"] == "0037");
    server.stop();
}

BOOST_AUTO_TEST_CASE(descriptor_0_is_the_null_device_and_1_and_2_are_the_logs) {
    Daemon server;
    server.launch();
    for (const pid_t pid : server.open_to_us()) {
        BOOST_TEST(link_of(pid, "fd/0") == "/dev/null");
        BOOST_TEST(link_of(pid, "fd/1") == server.error_log());
        BOOST_TEST(link_of(pid, "fd/2") == server.error_log());
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(output_and_errors_may_have_a_log_each) {
    Daemon server({.output_log = "output.log"});
    server.launch();
    for (const pid_t pid : server.open_to_us()) {
        BOOST_TEST(link_of(pid, "fd/1") == server.folder() / "output.log");
        BOOST_TEST(link_of(pid, "fd/2") == server.error_log());
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_callers_descriptors_are_given_back) {
    // A pipe that stayed open would keep `preforkd | cat` waiting for as long as the server runs.
    Daemon server;
    server.launch();
    BOOST_TEST(server.inbox().wait_until([&] { return server.inbox().printed_is_closed(); }));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_has_nothing_open_but_what_it_needs, *precondition(needs_root)) {
    Daemon server;
    server.launch();
    BOOST_TEST(Client(server.address()).ask("served") == "served");
    for (const pid_t worker : server.workers()) {
        auto open = descriptors_of(worker);
        BOOST_TEST(open[3].starts_with("socket:["));
        for (const auto& [number, what] : open)
            if (number > 3) BOOST_TEST(is_a_workers_own(what), number << " is " << what);
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_masters_descriptors_end_at_its_exec) {
    Daemon server;
    server.launch();
    for (const auto& [number, what] : descriptors_of(server.pid())) {
        if (number <= 2) continue;
        std::string flags;
        std::ifstream info("/proc/" + std::to_string(server.pid()) + "/fdinfo/" +
                           std::to_string(number));
        while (info >> flags && flags != "flags:") {
        }
        if (!(info >> flags)) continue;  // closed meanwhile: the pipe that told its launcher
        BOOST_TEST((std::stoi(flags, nullptr, 8) & O_CLOEXEC) != 0, number << " is " << what);
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(titles_name_program_role_slot_and_generation) {
    Daemon server({.sections = listener("echo") + listener("own", "echo", "workers = 1\n")});
    server.launch();
    BOOST_TEST(title_of(server.pid()) == "preforkd: master");
    std::set<std::string> titles;
    for (const pid_t worker : server.workers()) titles.insert(title_of(worker));
    const std::set<std::string> expected{"preforkd: worker main/0 gen 1",
                                         "preforkd: worker main/1 gen 1",
                                         "preforkd: worker own/0 gen 1"};
    BOOST_TEST(titles == expected, boost::test_tools::per_element());
    for (const pid_t pid : master_and_workers(server))
        BOOST_TEST(status_of(pid)["Name"] == "preforkd");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_draining_worker_says_so_in_its_title) {
    Daemon server({.keys = "workers = 1\nkeepalive_grace = 0s\n",
                   .sections = listener("echo", "probe"),
                   .probe = true});
    server.launch();
    const pid_t worker = server.worker("main/0");
    Client idle(server.address());
    BOOST_TEST(idle.ask("hello") == "hello");
    Client busy(server.address());
    BOOST_TEST(busy.ask("hello") == "hello");
    busy.send("half a ");
    server.send(SIGTERM);
    BOOST_TEST(idle.receive_rest() == "");  // so by now it drains
    BOOST_TEST(title_of(worker) == "probed: worker main/0 gen 1 (draining)");
    busy.send("line\n");
    BOOST_TEST(busy.receive_rest() == "half a line\n");
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(in_the_foreground_it_stays_in_its_callers_session) {
    Daemon server;
    server.start();
    BOOST_TEST(stat_of(server.pid()).session == ::getsid(0));
    BOOST_TEST(link_of(server.pid(), "cwd") == "/");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
