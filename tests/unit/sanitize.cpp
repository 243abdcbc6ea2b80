#include "master/sanitize.hpp"

#include <fmt/format.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

#include "process_support.hpp"

using namespace preforkd::master;
using preforkd::testing::in_child;
using preforkd::testing::Pipe;
using preforkd::testing::read_until_closed;

namespace {

/// What `look` prints about a process that was first spoilt and then sanitized.
std::string after(const std::function<void()>& spoil,
                  const std::function<std::string(const Inheritance&)>& look,
                  const std::vector<int>& kept = {}) {
    Pipe pipe;
    const int report = 200;
    const int status = in_child([&] {
        if (::dup2(pipe.writing.get(), report) < 0) return 90;
        spoil();
        std::vector<int> all_kept = kept;
        all_kept.push_back(report);
        const Inheritance found = sanitize(all_kept);
        const std::string text = look(found);
        const ssize_t written = ::write(report, text.data(), text.size());
        return written == static_cast<ssize_t>(text.size()) ? 0 : 91;
    });
    pipe.writing.reset();
    const std::string text = read_until_closed(pipe.reading);
    BOOST_TEST(status == 0);
    return text;
}

std::string link_of(int fd) {
    char target[256];
    const ssize_t length =
        ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target);
    return length < 0 ? "closed" : std::string(target, static_cast<std::size_t>(length));
}

void nothing() {}

std::string environment_of_this_process() {
    std::string text;
    for (char** variable = environ; *variable != nullptr; ++variable)
        text += std::string(*variable) + "\n";
    return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sanitize)

BOOST_AUTO_TEST_CASE(closed_standard_descriptors_become_the_null_device) {
    const auto close_three = [] {
        for (int fd = 0; fd < 3; ++fd) ::close(fd);
    };
    const std::string links = after(close_three, [](const Inheritance&) {
        const bool can_read = (::fcntl(0, F_GETFL) & O_ACCMODE) == O_RDONLY;
        const bool can_write = (::fcntl(1, F_GETFL) & O_ACCMODE) == O_WRONLY;
        return link_of(0) + " " + link_of(1) + " " + link_of(2) + (can_read ? " r" : " ?") +
               (can_write ? "w" : "?");
    });
    BOOST_TEST(links == "/dev/null /dev/null /dev/null rw");
}

BOOST_AUTO_TEST_CASE(inherited_descriptors_are_closed_but_those_asked_for) {
    const auto inherit = [] {
        for (const int fd : {3, 4, 5, 77, 100, 1000}) ::dup2(0, fd);
    };
    const auto list_open = [](const Inheritance&) {
        std::string open;
        for (int fd = 3; fd < 1024; ++fd) {
            const int flags = ::fcntl(fd, F_GETFD);
            if (flags < 0 || fd == 200) continue;
            open += std::to_string(fd) + ((flags & FD_CLOEXEC) != 0 ? " " : "! ");
        }
        return open;
    };
    BOOST_TEST(after(inherit, list_open) == "");
    BOOST_TEST(after(inherit, list_open, {77, 4, 999}) == "4 77 ");
}

BOOST_AUTO_TEST_CASE(sockets_of_the_service_manager_are_kept_if_they_are_for_us) {
    const auto pass = [](const std::string& pid, const std::string& count) {
        return [pid, count] {
            ::setenv("LISTEN_PID", pid.empty() ? std::to_string(::getpid()).c_str() : pid.c_str(),
                     1);
            ::setenv("LISTEN_FDS", count.c_str(), 1);
            for (const int fd : {3, 4, 5}) ::dup2(0, fd);
            ::close(6);
        };
    };
    const auto look = [](const Inheritance& found) {
        return std::to_string(found.listen_fds) + (link_of(4) == "closed" ? " closed" : " open") +
               (link_of(5) == "closed" ? " closed" : " open");
    };
    BOOST_TEST(after(pass("", "2"), look) == "2 open closed");
    BOOST_TEST(after(pass("", "9"), look) == "3 open open");
    BOOST_TEST(after(pass("1", "2"), look) == "0 closed closed");
    BOOST_TEST(after(pass("", "two"), look) == "0 closed closed");
    BOOST_TEST(after(pass("", "-1"), look) == "0 closed closed");
}

BOOST_AUTO_TEST_CASE(ignored_and_blocked_signals_are_as_a_daemon_wants_them) {
    const auto spoil = [] {
        for (const int signal : {SIGCHLD, SIGHUP, SIGTERM, SIGUSR1, SIGSEGV})
            (void)::signal(signal, SIG_IGN);
        for (const int signal : {SIGPIPE, SIGXFSZ, SIGALRM, SIGTSTP})
            (void)::signal(signal, SIG_DFL);
        sigset_t all;
        sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
    };
    const std::string text = after(spoil, [](const Inheritance&) {
        std::string verdict;
        const auto action_of = [](int signal) {
            struct sigaction action {};
            ::sigaction(signal, nullptr, &action);
            return action.sa_handler;
        };
        for (const int signal : {SIGCHLD, SIGHUP, SIGTERM, SIGUSR1, SIGSEGV})
            verdict += action_of(signal) == SIG_DFL ? "d" : "?";
        for (const int signal : {SIGPIPE, SIGXFSZ, SIGALRM, SIGTSTP, SIGVTALRM, SIGIO})
            verdict += action_of(signal) == SIG_IGN ? "i" : "?";
        sigset_t blocked;
        ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
        for (int signal = 1; signal <= SIGRTMAX; ++signal)
            if (sigismember(&blocked, signal) == 1) verdict += " " + std::to_string(signal);
        return verdict;
    });
    BOOST_TEST(text == fmt::format("dddddiiiiii {} {} {} {} {}", SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN,
                                   SIGTTOU));
}

BOOST_AUTO_TEST_CASE(a_running_alarm_is_stopped) {
    BOOST_TEST(after([] { ::alarm(1000); },
                     [](const Inheritance&) { return std::to_string(::alarm(0)); }) == "0");
}

BOOST_AUTO_TEST_CASE(the_umask_is_the_usual_one) {
    BOOST_TEST(after([] { ::umask(0); },
                     [](const Inheritance&) { return std::to_string(::umask(0)); }) == "18");
}

BOOST_AUTO_TEST_CASE(the_environment_holds_only_what_is_known_to_be_needed) {
    const auto spoil = [] {
        ::clearenv();
        for (const char* variable :
             {"LD_PRELOAD=/tmp/evil.so", "PATH=/tmp:.", "TZ=Europe/Vienna", "LC_ALL=C", "LANG=C",
              "LANGUAGES=x", "HOME=/root", "NOTIFY_SOCKET=@n", "GCONV_PATH=/tmp", "no equals sign",
              "TZ=second", "=odd", "WATCHDOG_USEC=5"})
            ::putenv(const_cast<char*>(variable));
    };
    BOOST_TEST(after(spoil, [](const Inheritance&) { return environment_of_this_process(); }) ==
               "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
               "TZ=second\nLC_ALL=C\nLANG=C\nHOME=/root\nNOTIFY_SOCKET=@n\nWATCHDOG_USEC=5\n");
    const std::string before = after(spoil, [](const Inheritance& found) {
        std::string text;
        for (const std::string& variable : found.environment) text += variable + "\n";
        return text;
    });
    BOOST_TEST(before.starts_with("LD_PRELOAD=/tmp/evil.so\nPATH=/tmp:.\n"));
}

BOOST_AUTO_TEST_CASE(low_limits_are_raised_as_far_as_allowed_and_low_ceilings_are_told) {
    const auto lower = [](rlim_t ceiling) {
        return [ceiling] {
            const rlimit files{300, ceiling}, size{1 << 20, 1 << 20}, core{0, 0};
            ::setrlimit(RLIMIT_NOFILE, &files);
            ::setrlimit(RLIMIT_FSIZE, &size);
            ::setrlimit(RLIMIT_CORE, &core);
        };
    };
    const auto look = [](const Inheritance& found) {
        rlimit files{}, core{};
        ::getrlimit(RLIMIT_NOFILE, &files);
        ::getrlimit(RLIMIT_CORE, &core);
        std::string text = std::to_string(files.rlim_cur) + " " + std::to_string(core.rlim_cur);
        for (const std::string& notice : found.notices) text += "\n" + notice.substr(0, 40);
        return text;
    };
    BOOST_TEST(after(lower(500), look) ==
               "500 0\nthe hard limit on open files is only 500\n"
               "the hard limit on file size is 1048576 b");
    BOOST_TEST(after(lower(4000), look) == "4000 0\nthe hard limit on file size is 1048576 b");
}

BOOST_AUTO_TEST_CASE(address_space_randomisation_is_on_again) {
    const auto look = [](const Inheritance&) {
        return (::personality(0xffffffff) & ADDR_NO_RANDOMIZE) != 0 ? std::string("off") : "on";
    };
    BOOST_TEST(after([] { ::personality(ADDR_NO_RANDOMIZE); }, look) == "on");
    BOOST_TEST(after(nothing, look) == "on");
}

BOOST_AUTO_TEST_SUITE_END()
