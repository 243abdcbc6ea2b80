#include "shared/log.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <regex>

#include "shared/syscalls.hpp"

using namespace preforkd;

BOOST_AUTO_TEST_SUITE(logger_lines)

struct LogFile {
    UniqueFd file{::memfd_create("log", MFD_CLOEXEC)};
    std::string text() const { return read_all(file, 1 << 20).value(); }
};

BOOST_FIXTURE_TEST_CASE(a_line_has_time_level_pid_event_and_fields, LogFile) {
    const Logger logger(file.get(), LogStyle::plain, LogLevel::info, "preforkd");
    logger.notice("worker exited", {{"slot", "web/0"}, {"pid", 42}, {"why", "signal 11"}});
    const std::regex expected("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z notice " +
                              std::to_string(::getpid()) +
                              " worker exited slot=web/0 pid=42 why=\"signal 11\"\n");
    BOOST_TEST(std::regex_match(text(), expected), text());
}

BOOST_FIXTURE_TEST_CASE(a_line_is_always_one_line, LogFile) {
    const Logger logger(file.get(), LogStyle::plain, LogLevel::info, "preforkd");
    logger.error("worker can't start", {{"why", "a\nb\t\"c\"\\\x7f"}, {"empty", ""}});
    BOOST_TEST(text().find("why=\"a\\x0ab\\x09\\\"c\\\"\\\\\\x7f\" empty=\"\"\n") !=
               std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(an_event_can_neither_break_its_line_nor_command_a_terminal, LogFile) {
    const Logger logger(file.get(), LogStyle::journal, LogLevel::info, "preforkd");
    logger.error("said \"a\"\nb\r\x1b[2J\u009b2J", {{"by", "\u009bé\xc2"}});
    BOOST_TEST(text() == "<3>error " + std::to_string(::getpid()) +
                             " said \"a\" b\\x0d\\x1b[2J\\xc2\\x9b2J by=\\xc2\\x9bé\xc2\n");
}

BOOST_FIXTURE_TEST_CASE(what_is_below_the_threshold_is_not_written, LogFile) {
    Logger logger(file.get(), LogStyle::plain, LogLevel::warning, "preforkd");
    logger.notice("quiet");
    BOOST_TEST(text().empty());
    logger.set_threshold(LogLevel::debug);
    logger.debug("loud");
    BOOST_TEST(text().find("loud") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(the_journal_gets_a_priority_and_no_time, LogFile) {
    const Logger logger(file.get(), LogStyle::journal, LogLevel::info, "preforkd");
    logger.warning("slow");
    BOOST_TEST(text() == "<4>warning " + std::to_string(::getpid()) + " slow\n");
}

BOOST_FIXTURE_TEST_CASE(syslog_gets_facility_daemon_time_and_program, LogFile) {
    const Logger logger(file.get(), LogStyle::syslog, LogLevel::info, "bbserve");
    logger.error("gone");
    const std::regex expected("<27>\\w{3} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d bbserve\\[" +
                              std::to_string(::getpid()) + "\\]: error gone");
    BOOST_TEST(std::regex_match(text(), expected), text());
}

BOOST_AUTO_TEST_CASE(lost_lines_are_counted_and_told_when_there_is_room_again) {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    const LogFile log;
    Logger logger(full.get(), LogStyle::plain, LogLevel::info, "preforkd");
    for (int i = 0; i < 3; ++i) logger.info("lost");
    logger.redirect(log.file.get(), LogStyle::plain);
    logger.info("kept");
    logger.info("kept too");
    const std::regex expected(
        "\\S+ warning \\d+ log lines were lost count=3\n\\S+ info \\d+ kept\n"
        "\\S+ info \\d+ kept too\n");
    BOOST_TEST(std::regex_match(log.text(), expected), log.text());
}

BOOST_AUTO_TEST_CASE(a_line_after_one_that_was_cut_stands_alone) {
    const LogFile log;
    const Logger logger(log.file.get(), LogStyle::plain, LogLevel::info, "preforkd");
    const rlimit full{100, RLIM_INFINITY};
    rlimit before{};
    BOOST_REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
    BOOST_REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
    logger.info(std::string(200, 'x'));
    BOOST_REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    ::signal(SIGXFSZ, ignored);
    logger.info("whole");
    const std::string text = log.text();
    BOOST_TEST(std::count(text.begin(), text.end(), '\n') == 3);
    BOOST_TEST(text.find("x\n") == 99u);
    BOOST_TEST(text.find("lost count=1") != std::string::npos);
    BOOST_TEST(text.ends_with(" whole\n"));
}

BOOST_AUTO_TEST_SUITE_END()
