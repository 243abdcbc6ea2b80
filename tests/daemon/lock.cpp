#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fstream>

#include "client.hpp"
#include "daemon.hpp"

// One server per lock file, whatever happens.

using namespace preforkd::testing;

namespace {

std::string holder(const Outcome& outcome) {
    constexpr std::string_view before = "already running as pid ";
    const auto begin = outcome.printed.find(before);
    if (begin == std::string::npos) return outcome.printed;
    const auto pid = begin + before.size();
    return outcome.printed.substr(pid, outcome.printed.find(' ', pid) - pid);
}

ino_t inode_of(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lock)

BOOST_AUTO_TEST_CASE(of_simultaneous_starts_exactly_one_wins) {
    Daemon server;
    server.inbox().open_log();
    std::vector<Execution> starts;
    for (int i = 0; i < 8; ++i) starts.push_back(execute(server.command(false)));
    int winners = 0;
    for (Execution& start : starts) {
        const Outcome outcome = finish(std::move(start));
        if (outcome.exit == exited(0)) {
            ++winners;
            BOOST_TEST(outcome.printed == "");
            continue;
        }
        BOOST_TEST(outcome.exit == exited(1));
        BOOST_TEST(holds_all(outcome.printed, {"already running as pid ", server.lock_file()}),
                   outcome.printed);
    }
    BOOST_TEST(winners == 1);
    server.adopt();
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_second_start_is_told_the_pid_and_what_to_do) {
    Daemon server;
    server.launch();
    BOOST_TEST(server.locked_by().value() == server.pid());
    const Outcome second = finish(execute(server.command(false)));
    BOOST_TEST(second.exit == exited(1));
    BOOST_TEST(holder(second) == std::to_string(server.pid()));
    BOOST_TEST(holds_all(second.printed, {server.lock_file(), "kill -HUP " + holder(second)}),
               second.printed);
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(whatever_pid_the_file_names_a_live_lock_hinders) {
    Daemon server;
    server.launch();
    { std::ofstream(server.lock_file()) << "1\n"; }
    const Outcome second = finish(execute(server.command(false)));
    BOOST_TEST(second.exit == exited(1));
    BOOST_TEST(holder(second) == std::to_string(server.pid()));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_stale_file_is_no_hindrance) {
    // It names a process that lives and is not ours: only the lock counts, never the pid.
    for (const std::string& stale : {std::to_string(::getpid()) + "\n", std::string("rubbish")}) {
        Daemon server;
        { std::ofstream(server.lock_file()) << stale; }
        server.launch();
        BOOST_TEST(server.locked_by().value() == server.pid());
        server.stop();
    }
}

BOOST_AUTO_TEST_CASE(a_symbolic_link_is_refused) {
    Daemon server;
    const std::string target = server.folder() / "precious";
    { std::ofstream(target) << "precious"; }
    BOOST_REQUIRE(::symlink(target.c_str(), server.lock_file().c_str()) == 0);
    server.begin_launch();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(1));
    BOOST_TEST(holds_all(outcome.printed, {server.lock_file(), "symbolic link", "remove it"}),
               outcome.printed);
    std::string content;
    std::ifstream(target) >> content;
    BOOST_TEST(content == "precious");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_not_ours_any_more_is_left_alone) {
    Daemon server;
    server.launch();
    BOOST_REQUIRE(::unlink(server.lock_file().c_str()) == 0);
    { std::ofstream(server.lock_file()) << "somebody else's\n"; }
    const ino_t others = inode_of(server.lock_file());
    server.send(SIGTERM);
    BOOST_TEST(server.outcome().exit == exited(0));
    BOOST_TEST(inode_of(server.lock_file()) == others);
}

BOOST_AUTO_TEST_CASE(after_a_kill_a_new_start_works_at_once) {
    Daemon server;
    server.launch();
    server.process().send(SIGKILL);
    BOOST_TEST(server.process().reap() == killed_by(SIGKILL));
    BOOST_TEST(server.locked_by().has_value());  // stale
    server.launch();
    BOOST_TEST(server.locked_by().value() == server.pid());
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(only_the_server_removes_it) {
    // Neither the launcher nor a start that fails may take the file of the one that runs.
    Daemon server;
    server.launch();
    const ino_t ours = inode_of(server.lock_file());
    (void)finish(execute(server.command(false)));
    server.process().send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(inode_of(server.lock_file()) == ours);
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
