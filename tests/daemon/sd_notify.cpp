#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>

#include "client.hpp"
#include "daemon.hpp"

// What a service manager is told. Source: sd_notify(3), systemd.service(5).

using namespace preforkd::testing;

namespace {

/// The value of NAME in a message, which is lines of NAME=VALUE.
std::string value_of(const std::string& message, const std::string& name) {
    const std::string lines = "\n" + message + "\n";
    const auto begin = lines.find("\n" + name + "=");
    if (begin == std::string::npos) return {};
    const auto value = begin + name.size() + 2;
    return lines.substr(value, lines.find('\n', value) - value);
}

long long monotonic_microseconds() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sd_notify)

BOOST_AUTO_TEST_CASE(ready_comes_with_generation_and_addresses) {
    Daemon server({.sections = listener("echo") + listener("more")});
    server.begin();
    const std::string ready = server.wait_for_note({"READY=1"});
    BOOST_TEST(value_of(ready, "X_PREFORKD_GENERATION") == "1");
    BOOST_TEST(value_of(ready, "X_PREFORKD_LISTEN") == "echo " + server.address("echo"));
    BOOST_TEST(holds_all(ready, {"X_PREFORKD_LISTEN=more " + server.address("more")}));
    BOOST_TEST(Client(server.address("more")).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(nothing_is_ready_before_the_first_ready) {
    Daemon server;
    server.begin();
    server.wait_for_note({"READY=1"});
    const auto& notes = server.inbox().all_notes();
    for (const std::string& note : notes) {
        if (note.starts_with("READY=1")) break;
        BOOST_TEST(note.starts_with("STATUS=starting"), note);
    }
    server.wait_for_note({"STATUS=running: generation 1, 2 serving"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_reload_is_announced_with_its_time_and_ended_by_ready) {
    Daemon server;
    server.start();
    const long long before = monotonic_microseconds();
    server.send(SIGHUP);
    const std::string reloading = server.wait_for_note({"RELOADING=1"});
    const long long announced = std::stoll(value_of(reloading, "MONOTONIC_USEC"));
    BOOST_TEST(announced >= before);
    BOOST_TEST(announced <= monotonic_microseconds());
    const std::string ready = server.wait_for_note({"READY=1"});
    BOOST_TEST(value_of(ready, "X_PREFORKD_GENERATION") == "2");
    server.wait_for_note({"STATUS=running: generation 2, 2 serving", "reload ok"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_refused_reload_is_ended_by_ready_and_told_in_the_status) {
    Daemon server;
    server.start();
    server.configure("wokers = 3\n", listener("echo"));
    server.send(SIGHUP);
    server.wait_for_note({"RELOADING=1"});
    server.wait_for_note({"READY=1"});
    server.wait_for_note(
        {"STATUS=running: generation 1, 2 serving", "reload refused: ", "test.conf:4", "wokers"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_stop_is_announced) {
    Daemon server;
    server.start();
    server.send(SIGTERM);
    server.wait_for_note({"STOPPING=1"});
    BOOST_TEST(server.outcome().exit == exited(0));
}

BOOST_AUTO_TEST_CASE(the_status_counts_workers) {
    Daemon server;
    server.start();
    server.send(SIGTTIN);
    server.wait_for_note({"STATUS=running: generation 1, 3 serving"});
    server.send(SIGTTOU);
    server.wait_for_note({"STATUS=running: generation 1, 2 serving, 1 draining"});
    server.wait_for_note({"STATUS=running: generation 1, 2 serving"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_watchdog_is_fed) {
    Daemon server({.environment = {"WATCHDOG_USEC=200000"}});
    server.start();
    for (int i = 0; i < 3; ++i) {
        server.mark();
        server.wait_for_note({"WATCHDOG=1"});
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_watchdog_that_watches_somebody_else_is_not_fed) {
    Daemon server({.environment = {"WATCHDOG_USEC=1000", "WATCHDOG_PID=1"}});
    server.start();
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    for (const std::string& note : server.inbox().all_notes())
        BOOST_TEST(note.find("WATCHDOG") == std::string::npos);
    server.stop();
}

BOOST_AUTO_TEST_CASE(workers_do_not_know_the_socket) {
    Daemon server({.sections = listener("echo", "probe"), .probe = true});
    server.start();
    const std::string environment = Client(server.address()).ask("environment");
    BOOST_TEST(environment.find("NOTIFY_SOCKET") == std::string::npos);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_socket_that_is_not_there_is_told) {
    Daemon server({.environment = {"NOTIFY_SOCKET=/nonexistent/socket"}});
    server.begin_launch();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(1));
    BOOST_TEST(holds_all(outcome.printed,
                         {"NOTIFY_SOCKET", "/nonexistent/socket", "env -u NOTIFY_SOCKET"}),
               outcome.printed);
    server.check_nothing_left();
}

BOOST_AUTO_TEST_SUITE_END()
