#include <boost/test/unit_test.hpp>

#include "master/ctl/commands.hpp"
#include "master/ctl/status_text.hpp"
#include "tests/unit/snapshot_fixture.hpp"

// What preforkctl understands and what it prints.

using namespace preforkd;
using namespace preforkd::ctl;
using namespace std::chrono_literals;
using preforkd::test::sample_moment;
using preforkd::test::sample_snapshot;

namespace {

std::string fault_of(const std::vector<std::string>& arguments) {
    const auto order = parse_order(arguments);
    return order ? "none" : to_string(order.error());
}

Order order_of(const std::vector<std::string>& arguments) {
    const auto order = parse_order(arguments);
    BOOST_REQUIRE_MESSAGE(order, fault_of(arguments));
    return *order;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(control_text)

BOOST_AUTO_TEST_CASE(status_shows_server_listeners_workers_and_exits) {
    Readings readings{sample_snapshot(), sample_snapshot(), 1s, sample_moment(), 1'700'003'600};
    SectionTotals& before = readings.before.listeners[0].totals;
    before.responses = {};
    before.durations = {};
    readings.before.workers[0].cpu -= 300'000'000;
    BOOST_TEST(
        status_text(readings) ==
        "preforkd 1.2.3  running, pid 4242, up 1h 00m, generation 7\n"
        "last reload: refused, 1m 00s ago\n"
        "    reload refused: a.conf:3: unknown key \"x\"\n"
        "\n"
        "LISTENER  ADDRESS             SERVICE  WORKERS  ACTIVE  REQ/S    P50    P99  ERR/S\n"
        "web       0.0.0.0:80 [::]:80  http           2       3    100  1.0ms  1.0ms    1.0\n"
        "board     127.0.0.1:9000      board          1       0      0      -      -      0\n"
        "\n"
        "LISTENER  COUNTED   VALUE\n"
        "board     messages      5\n"
        "\n"
        "WORKER   PID  GEN  STATE     CONNS  CPU%   RSS      UP\n"
        "main/0  4251    7  serving       2    30  9.0M  1m 00s\n"
        "main/0  3980    6  draining      3     0     0  1h 00m  3 connections left, closed "
        "in 18 s\n"
        "\n"
        "worker exits: 14 finished, 1 crashed\n");
}

BOOST_AUTO_TEST_CASE(quantities_are_short) {
    BOOST_TEST(duration_text(59s) == "59 s");
    BOOST_TEST(duration_text(-1s) == "0 s");
    BOOST_TEST(duration_text(3599s) == "59m 59s");
    BOOST_TEST(duration_text(100h) == "4d 04h");
    BOOST_TEST(size_text(812) == "812");
    BOOST_TEST(size_text(10'276'045) == "9.8M");
    BOOST_TEST(size_text(1ull << 40) == "1.0T");
    BOOST_TEST(latency_text(0) == "-");
    BOOST_TEST(latency_text(840'000) == "840us");
    BOOST_TEST(latency_text(1'500'000'000) == "1.50s");
}

BOOST_AUTO_TEST_CASE(a_screen_holds_the_first_lines_and_counts_the_others) {
    const std::string all = "\x1b[?7l\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J\x1b[?7h";
    BOOST_TEST(on_screen("a\nb\nc\n", 0) == all);
    BOOST_TEST(on_screen("a\nb\nc\n", 4) == all);  // the cursor has the fourth
    BOOST_TEST(on_screen("a\nb\nc\n", 3) ==
               "\x1b[?7l\x1b[Ha\x1b[K\n(2 more lines)\x1b[K\n\x1b[J\x1b[?7h");
}

BOOST_AUTO_TEST_CASE(orders_are_read) {
    const Order order = order_of({"-p", "/a/lock", "status", "--json"});
    BOOST_TEST((order.command == Command::status));
    BOOST_TEST(order.lock_file == "/a/lock");
    BOOST_TEST(order.json);
    BOOST_TEST(order_of({"reload", "--wait"}).wait);
    BOOST_TEST(order_of({"stop", "--fast"}).fast);
    BOOST_TEST(order_of({"workers", "-1"}).change == -1);
    BOOST_TEST((order_of({"-V"}).command == Command::version));
    BOOST_TEST((order_of({"--help"}).command == Command::help));
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_said_with_what_to_write) {
    BOOST_TEST(fault_of({}) == "no command\n    -h lists the commands");
    BOOST_TEST(fault_of({"relaod"}) ==
               "unknown command 'relaod'; did you mean 'reload'?\n    -h lists the commands");
    BOOST_TEST(fault_of({"-x", "status"}) == "unknown option '-x'\n    -h lists the commands");
    BOOST_TEST(fault_of({"-p"}) == "-p wants the name of a lock file\n    -h lists the commands");
    BOOST_TEST(fault_of({"reload", "--fast"}) ==
               "reload: '--fast' has no meaning here\n    write: preforkctl reload [--wait]");
    BOOST_TEST(fault_of({"workers"}) ==
               "workers: +1 or -1 is missing\n    write: preforkctl workers +1");
    BOOST_TEST(fault_of({"workers", "+2"}).find("'+2' has no meaning here") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(help_names_every_command) {
    for (const char* const name :
         {"status", "reload", "stop", "upgrade", "reopen", "workers", "metrics", "board"})
        BOOST_TEST(help_text().find(std::string("\n  ") + name) != std::string::npos, name);
}

BOOST_AUTO_TEST_SUITE_END()
