#include <linux/seccomp.h>
#include <seccomp.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <csignal>

#include "client.hpp"
#include "daemon.hpp"
#include "needs_root.hpp"
#include "needs_sandbox.hpp"
#include "unit/foreign_filter.hpp"

// A container whose own filter of system calls refuses what workers are confined by: what they go
// without is told, and none goes without what its master has found.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

Setup in_container(std::function<void()> refuse) {
    return {.keys = "workers = 1\n", .parent = std::move(refuse)};
}

/// How often the log says so.
std::size_t count(Daemon& server, const std::string& told) {
    server.inbox().gather();
    const std::string& log = server.inbox().whole_log();
    std::size_t count = 0;
    for (auto at = log.find(told); at != log.npos; at = log.find(told, at + 1)) ++count;
    return count;
}

void check_refused(const std::function<void()>& refuse, const std::vector<std::string>& message) {
    Daemon server(in_container(refuse));
    server.begin();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(1));
    BOOST_TEST(holds_all(outcome.printed, message), outcome.printed);
    server.check_nothing_left();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sandbox_refused, *precondition(needs_sandbox))

BOOST_AUTO_TEST_CASE(workers_without_landlock_are_told_of_once_and_filtered_all_the_same,
                     *precondition(needs_root)) {
    Daemon server(in_container([] { refuse_call(SCMP_SYS(landlock_create_ruleset), EPERM); }));
    server.start();
    const std::string told =
        "landlock_create_ruleset was refused (Operation not permitted), so workers are not "
        "confined by Landlock";
    BOOST_TEST(count(server, told) == 1u);
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(count(server, told) == 1u);
    server.send(SIGUSR2);  // the next program tells for itself
    server.wait_for_line({"upgrade ok"});
    BOOST_TEST(count(server, told) == 2u);
    auto status = status_of(server.worker("main/0 gen 3"));
    BOOST_TEST(status["Seccomp_filters"] == "3");  // the container's and two of ours
    server.stop();
}

BOOST_AUTO_TEST_CASE(workers_without_a_filter_are_told_of, *precondition(needs_root)) {
    Daemon server(in_container([] { refuse_call(SCMP_SYS(seccomp), EPERM); }));
    server.start();
    BOOST_TEST(count(server, "seccomp was refused (Operation not permitted)") == 1u);
    auto status = status_of(server.worker("main/0"));
    BOOST_TEST(status["Seccomp_filters"] == "1");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_cannot_have_what_its_master_found_does_not_start) {
    check_refused([] { refuse_call(SCMP_SYS(landlock_restrict_self), EPERM); },
                  {"worker main/0 can't start", "Landlock", "Operation not permitted", "filter"});
    const auto set_filter = [] {
        refuse_call(SCMP_SYS(seccomp), EPERM, {{0, SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER, 0}});
    };
    check_refused(set_filter,
                  {"worker main/0 can't start", "seccomp", "Operation not permitted", "filter"});
}

BOOST_AUTO_TEST_SUITE_END()
