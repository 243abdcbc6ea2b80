#include "master/daemonize.hpp"

#include <sys/prctl.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <string>

#include "process_support.hpp"
#include "shared/exit_code.hpp"
#include "shared/syscalls.hpp"

using namespace preforkd;
using namespace preforkd::master;
using preforkd::testing::Pipe;
using preforkd::testing::read_until_closed;
using preforkd::testing::start_child;
using preforkd::testing::wait_for;

namespace {

/// One start: a launcher, what it prints, and what the server behind it reports. Servers become our
/// children when their launcher ends, so that none is left behind.
class Start {
  public:
    template <class Server>
    explicit Start(Server server) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        launcher_ = start_child([&] {
            if (::dup2(printed_.writing.get(), STDERR_FILENO) < 0) return 90;
            StartupPipe pipe =
                daemonize("preforkd", {report_.writing.get(), report_.writing.get(), 0027});
            server(pipe);
            return 0;
        });
        printed_.writing.reset();
        report_.writing.reset();
    }
    Start(const Start&) = delete;
    Start& operator=(const Start&) = delete;
    ~Start() {
        (void)finish();
        ::prctl(PR_SET_CHILD_SUBREAPER, 0);
    }

    /// The launcher's exit status; 128 + number for a signal.
    int launcher_status() { return wait_for(std::exchange(launcher_, 0)); }
    std::string printed() { return read_until_closed(printed_.reading); }
    std::string report() { return read_until_closed(report_.reading); }
    std::string report_line() {
        std::string line;
        char byte = 0;
        while (::read(report_.reading.get(), &byte, 1) == 1 && byte != '\n') line += byte;
        return line;
    }
    void interrupt(int signal) const { ::kill(launcher_, signal); }
    /// Reaps what is left; returns how many there were.
    int finish() {
        if (launcher_ != 0) (void)launcher_status();
        int reaped = 0;
        while (::waitpid(-1, nullptr, 0) > 0) ++reaped;
        return reaped;
    }

  private:
    Pipe printed_, report_;
    pid_t launcher_ = 0;
};

void say(const std::string& text) {
    if (write_all(STDOUT_FILENO, text)) ::_exit(95);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(daemonize)

BOOST_AUTO_TEST_CASE(the_launcher_exits_0_only_after_success_was_said) {
    Pipe go;
    Start start([&](StartupPipe& pipe) {
        go.writing.reset();
        say("up\n");
        read_until_closed(go.reading);
        pipe.succeed();
        pipe.fail(3, "too late to be heard");
    });
    BOOST_TEST(start.report_line() == "up");
    go.writing.reset();
    BOOST_TEST(start.launcher_status() == 0);
    BOOST_TEST(start.printed() == "");
    BOOST_TEST(start.finish() == 1);
}

BOOST_AUTO_TEST_CASE(a_failure_brings_its_text_and_its_exit_code) {
    const std::string long_text(100'000, 'x');
    Start start([&](StartupPipe& pipe) {
        pipe.fail(exit_configuration, "preforkd: no worker could start\n" + long_text);
        pipe.succeed();
    });
    BOOST_TEST(start.printed() == "preforkd: no worker could start\n" + long_text + "\n");
    BOOST_TEST(start.launcher_status() == exit_configuration);
}

BOOST_AUTO_TEST_CASE(a_silent_death_is_told_with_its_cause) {
    Start killed([](StartupPipe&) { ::raise(SIGKILL); });
    BOOST_TEST(killed.launcher_status() == exit_failure);
    BOOST_TEST(killed.printed() ==
               "preforkd: the server died during start-up, of signal 9 (Killed); the error log may "
               "say why\n");
    Start exited([](StartupPipe&) { ::_exit(42); });
    BOOST_TEST(exited.launcher_status() == exit_failure);
    BOOST_TEST(exited.printed().find("with exit status 42") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_server_has_left_everything_of_its_caller) {
    Start start([](StartupPipe& pipe) {
        char folder[64] = "?";
        if (::getcwd(folder, sizeof folder) == nullptr) ::_exit(94);
        struct stat input {
        }, null{};
        const bool reads_null = ::fstat(0, &input) == 0 && ::stat("/dev/null", &null) == 0 &&
                                input.st_rdev == null.st_rdev;
        const bool leads_session = ::getsid(0) == ::getpid();
        const bool leads_group = ::getpgrp() == ::getpid();
        const bool has_terminal = ::open("/dev/tty", O_RDWR) >= 0 || errno != ENXIO;
        sigset_t blocked;
        ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
        say(std::string(folder) + (reads_null ? " null" : " ?") +
            (leads_session ? " leads session" : " no leader") +
            (leads_group ? " own group" : " foreign group") +
            (has_terminal ? " terminal" : " no terminal") +
            (sigismember(&blocked, SIGINT) == 1 ? " blocked " : " unblocked ") +
            std::to_string(::umask(0)) + " " + std::to_string(::getsid(0)) + "\n");
        pipe.succeed();
    });
    const std::string report = start.report();
    const std::string expected = "/ null no leader own group no terminal unblocked 23 ";
    BOOST_TEST(report.substr(0, expected.size()) == expected);
    BOOST_TEST(report.substr(expected.size()) != std::to_string(::getsid(0)) + "\n");
    BOOST_TEST(start.launcher_status() == 0);
}

BOOST_AUTO_TEST_CASE(a_terminal_that_the_server_opens_does_not_become_its_own) {
    Start start([](StartupPipe& pipe) {
        const UniqueFd controller(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
        if (!controller.is_open() || ::grantpt(controller.get()) < 0 ||
            ::unlockpt(controller.get()) < 0)
            say("no terminal to try with\n");
        const UniqueFd terminal(::open(::ptsname(controller.get()), O_RDWR | O_CLOEXEC));
        say(terminal.is_open() && ::open("/dev/tty", O_RDWR) < 0 ? "none\n" : "got one\n");
        pipe.succeed();
    });
    BOOST_TEST(start.report() == "none\n");
}

BOOST_AUTO_TEST_CASE(an_interrupted_launcher_stops_the_server_and_dies_of_the_signal) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
        Start start([](StartupPipe& pipe) {
            say("starting\n");
            for (;;) ::pause();
            pipe.succeed();
        });
        BOOST_TEST(start.report_line() == "starting");
        start.interrupt(signal);
        BOOST_TEST(start.printed() == "preforkd: start interrupted\n");
        BOOST_TEST(start.launcher_status() == 128 + signal);
        BOOST_TEST(start.report() == "");  // its end: the server is gone
    }
}

BOOST_AUTO_TEST_CASE(a_second_interruption_ends_a_server_that_does_not_stop) {
    Start start([](StartupPipe& pipe) {
        (void)::signal(SIGINT, [](int) { say("not now\n"); });
        say("starting\n");
        for (;;) ::pause();
        pipe.succeed();
    });
    BOOST_TEST(start.report_line() == "starting");
    start.interrupt(SIGINT);
    BOOST_TEST(start.report_line() == "not now");
    start.interrupt(SIGINT);
    BOOST_TEST(start.launcher_status() == 128 + SIGINT);
    BOOST_TEST(start.report() == "");
}

BOOST_AUTO_TEST_CASE(the_launcher_keeps_nothing_that_the_server_holds_open) {
    Pipe held;
    Start start([&](StartupPipe& pipe) {
        held.reading.reset();
        held.writing.reset();
        say("released\n");
        for (;;) ::pause();
        pipe.succeed();
    });
    held.writing.reset();
    BOOST_TEST(start.report_line() == "released");
    BOOST_TEST(read_until_closed(held.reading) == "");  // ends: the launcher has no copy either
    start.interrupt(SIGTERM);
    BOOST_TEST(start.launcher_status() == 128 + SIGTERM);
}

BOOST_AUTO_TEST_CASE(in_the_foreground_a_failure_goes_to_standard_error) {
    Pipe printed;
    BOOST_TEST(preforkd::testing::in_child([&] {
                   if (::dup2(printed.writing.get(), STDERR_FILENO) < 0) return 90;
                   StartupPipe pipe;
                   pipe.fail(exit_failure, "preforkd: why");
                   pipe.fail(exit_failure, "once");
                   return 0;
               }) == 0);
    printed.writing.reset();
    BOOST_TEST(read_until_closed(printed.reading) == "preforkd: why\n");
}

BOOST_AUTO_TEST_SUITE_END()
