#include <time.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client.hpp"
#include "daemon.hpp"
#include "needs_sandbox.hpp"
#include "probe.hpp"

// The wall clock jumps by a day: what the server says follows it, what it waits for doesn't.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

constexpr std::int64_t day = 86400;

/// How far the server's wall clock is from ours; see tests/preload/clock_shift.cpp.
class ShiftedClock {
  public:
    ShiftedClock() { set(0); }
    void set(std::int64_t seconds) {
        std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
        if (!file) file.open(path_, std::ios::binary | std::ios::out);
        file.write(reinterpret_cast<const char*>(&seconds), sizeof seconds);
        file.close();
        std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
        std::filesystem::permissions(path_, std::filesystem::perms(0644));
    }
    /// For the master, and for its workers, whose environment is cleaned.
    [[nodiscard]] std::vector<std::string> environment() const {
        const std::string preload = "LD_PRELOAD=" PREFORKD_CLOCK_SHIFT;
        const std::string shift = "CLOCK_SHIFT=" + path_;
        return {preload, shift, std::string(worker_environment) + "=" + preload + ";" + shift};
    }

  private:
    TempFolder folder_;
    std::string path_ = folder_ / "shift";
};

std::int64_t our_time() {
    return static_cast<std::int64_t>(::time(nullptr));
}

/// The Date of an answer on a connection that stays, as seconds since 1970.
std::int64_t date_of_answer(Client& client) {
    client.send("GET /file HTTP/1.1\r\nHost: test\r\n\r\n");
    std::int64_t date = 0;
    for (std::string line; (line = client.receive_line()) != "\r";) {
        tm parts{};
        if (line.starts_with("Date: ")) {
            BOOST_REQUIRE(::strptime(line.c_str(), "Date: %a, %d %b %Y %T GMT", &parts) != nullptr);
            date = static_cast<std::int64_t>(::timegm(&parts));
        }
    }
    BOOST_TEST(client.receive(5) == "file\n");
    return date;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(clock_jumps, *precondition(needs_sandbox))

BOOST_AUTO_TEST_CASE(dates_and_log_lines_follow_and_time_outs_do_not) {
    ShiftedClock clock;
    const TempFolder site;
    std::filesystem::permissions(site.path(), std::filesystem::perms(0755));
    std::ofstream(site / "file") << "file\n";
    Daemon server({.keys = "workers = 1\n",
                   .sections = listener("web", "http", "root = " + (site / "") + "\n"),
                   .environment = clock.environment(),
                   .probe = true});
    server.start();
    Client busy(server.address("web")), idle(server.address("web"));
    (void)date_of_answer(idle);
    // A Date may be a second old.
    BOOST_TEST(std::abs(date_of_answer(busy) - our_time()) <= 2);
    for (const std::int64_t shift : {day, -day, std::int64_t{0}}) {
        clock.set(shift);
        BOOST_TEST(std::abs(date_of_answer(busy) - our_time() - shift) <= 2, shift);
        BOOST_TEST(std::abs(date_of_answer(idle) - our_time() - shift) <= 2, shift);
        server.send(SIGUSR1);
        const std::string line = server.wait_for_line({"logs reopened"});
        const time_t there = static_cast<time_t>(our_time() + shift);
        char today[16], yesterday[16];  // midnight may have come in between
        const time_t before = there - 5;
        BOOST_REQUIRE(::strftime(today, sizeof today, "%F", ::gmtime(&there)) > 0);
        BOOST_REQUIRE(::strftime(yesterday, sizeof yesterday, "%F", ::gmtime(&before)) > 0);
        BOOST_TEST((line.starts_with(today) || line.starts_with(yesterday)), line);
    }
    clock.set(day);
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    clock.set(-day);
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
