#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>

#include "client.hpp"
#include "daemon.hpp"
#include "needs_root.hpp"
#include "variant.hpp"

// As process 1 of a container: in the foreground unasked, and everybody's parent.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

/// In the child: the server becomes process 1 of a namespace; what the test started waits for it.
void become_process_one() {
    if (::unshare(CLONE_NEWPID) < 0) ::_exit(96);
    const pid_t server = ::fork();
    if (server < 0) ::_exit(96);
    if (server == 0) return;
    // Not to hold what the server's end is told by.
    (void)::close_range(0, ~0u, 0);
    int status = 0;
    if (::waitpid(server, &status, 0) < 0 || !WIFEXITED(status)) ::_exit(95);
    ::_exit(WEXITSTATUS(status));
}

/// Leaves an orphan in the namespace of `process_one`, which lives until `release` is closed.
void leave_orphan(pid_t process_one, const Pipe& release) {
    const int helper = in_child([&] {
        const std::string path = "/proc/" + std::to_string(process_one) + "/ns/pid";
        const preforkd::UniqueFd space(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (::setns(space.get(), CLONE_NEWPID) < 0) return 1;
        // The first child is in the namespace, and its own child loses it as its parent.
        return in_child([&] {
            (void)start_child([&] {
                char byte = 0;
                ::close(release.writing.get());
                return static_cast<int>(::read(release.reading.get(), &byte, 1));
            });
            return 0;
        });
    });
    BOOST_REQUIRE(helper == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(process_one)

BOOST_AUTO_TEST_CASE(it_stays_in_the_foreground_and_reaps_orphans, *precondition(needs_root)) {
    Daemon server({.keys = "workers = 2\nlog_level = debug\n", .parent = become_process_one});
    server.begin_launch();  // without -F and without NOTIFY_SOCKET
    server.wait_for_line({" ready generation="});
    BOOST_TEST(server.locked_by().value() == 1);
    const std::vector<pid_t> inside = children_of(server.pid());
    BOOST_REQUIRE(inside.size() == 1u);
    const Process one(inside.front());
    const auto workers = children_of(one.pid());
    BOOST_TEST(workers.size() == 2u);

    Pipe release;
    leave_orphan(one.pid(), release);
    BOOST_TEST(children_of(one.pid()).size() == 3u);
    server.mark();
    release.writing.reset();
    server.wait_for_line({"orphans reaped", "count=1"});
    BOOST_TEST(children_of(one.pid()) == workers, boost::test_tools::per_element());

    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    one.send(SIGTERM);
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(it_is_upgraded_as_process_one, *precondition(needs_root)) {
    Setup setup = UpgradableDaemon::with_keys();
    setup.parent = become_process_one;
    UpgradableDaemon server(setup);
    server.begin_launch();
    server.wait_for_line({" ready generation="});
    const std::vector<pid_t> inside = children_of(server.pid());
    BOOST_REQUIRE(inside.size() == 1u);
    const Process one(inside.front());
    server.install({.version = "2.0"});
    one.send(SIGUSR2);
    server.wait_for_line({"upgrade ok", "from=1.0", "to=2.0"});
    BOOST_TEST(server.locked_by().value() == 1);
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    one.send(SIGTERM);
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_SUITE_END()
