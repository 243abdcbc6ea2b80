#include <fcntl.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>

#include "client.hpp"
#include "daemon.hpp"
#include "master/processes.hpp"

// What a careless or hostile parent leaves to the server, and what the server makes of it.

using namespace preforkd::testing;
using preforkd::master::read_proc;

namespace {

/// In the child: a setting that can't be made would make its test worthless.
void must(bool done) {
    if (!done) ::_exit(96);
}

/// Copies of `descriptor` from 5 to 40, handed down to the server.
void leak(int descriptor) {
    for (int copy = 5; copy <= 40; ++copy) must(::dup2(descriptor, copy) >= 0);
}

std::vector<int> all_signals_but(const std::vector<int>& exceptions) {
    std::vector<int> signals;
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
        if (std::find(exceptions.begin(), exceptions.end(), signal) == exceptions.end())
            signals.push_back(signal);
    }
    return signals;
}

std::vector<int> sorted(std::vector<int> numbers) {
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

/// What a fault in the code raises, and what can't be ignored.
const std::vector<int> never_ignored{SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL,
                                     SIGFPE,  SIGABRT, SIGTRAP, SIGSYS, SIGXCPU};

std::vector<int> operator+(std::vector<int> left, const std::vector<int>& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

void check_signals(const Daemon& server) {
    const auto per_element = boost::test_tools::per_element();
    const std::vector<int> handled{SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,
                                   SIGTERM, SIGCHLD, SIGTTIN, SIGTTOU};
    auto master = status_of(server.pid());
    BOOST_TEST(signals_in(master["SigBlk"]) == sorted(handled), per_element);
    BOOST_TEST(signals_in(master["SigIgn"]) ==
                   all_signals_but(handled + never_ignored + std::vector{SIGCONT}),
               per_element);
    for (const pid_t pid : server.workers()) {
        auto worker = status_of(pid);
        BOOST_TEST(signals_in(worker["SigBlk"]) == std::vector{SIGTERM}, per_element);
        BOOST_TEST(signals_in(worker["SigIgn"]) ==
                       all_signals_but(never_ignored + std::vector{SIGTERM, SIGCHLD, SIGCONT}),
                   per_element);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hostile_parent)

BOOST_AUTO_TEST_CASE(leaked_descriptors_are_closed_in_master_and_workers) {
    Pipe leaked;
    Daemon server({.parent = [&] { leak(leaked.writing.get()); }});
    server.launch();
    leaked.writing.reset();
    BOOST_TEST(read_until_closed(leaked.reading) == "");  // ends: nobody has it
    server.stop();
}

BOOST_AUTO_TEST_CASE(leaked_descriptors_are_closed_in_the_foreground_too) {
    Pipe leaked;
    Daemon server({.parent = [&] { leak(leaked.writing.get()); }});
    server.start();
    leaked.writing.reset();
    BOOST_TEST(read_until_closed(leaked.reading) == "");
    server.stop();
}

BOOST_AUTO_TEST_CASE(closed_standard_descriptors_are_no_trap) {
    // Else the lock file or a listener would become descriptor 0, 1 or 2, and be written to.
    for (const unsigned closed : {1u, 2u, 4u, 7u}) {
        Daemon server({.parent = [closed] {
            for (int number = 0; number <= 2; ++number)
                if ((closed >> number & 1) != 0) must(::close(number) == 0);
        }});
        server.launch();
        for (const pid_t pid : server.open_to_us()) {
            BOOST_TEST(link_of(pid, "fd/0") == "/dev/null");
            BOOST_TEST(link_of(pid, "fd/1") == server.error_log());
            BOOST_TEST(link_of(pid, "fd/2") == server.error_log());
        }
        BOOST_TEST(Client(server.address()).ask("hello") == "hello");
        server.stop();
    }
}

BOOST_AUTO_TEST_CASE(signals_are_as_they_should_be_from_a_sane_parent) {
    Daemon server;
    server.launch();
    check_signals(server);
    server.stop();
}

BOOST_AUTO_TEST_CASE(ignored_signals_are_reset) {
    Daemon server({.parent = [] {
        for (int signal = 1; signal <= SIGRTMAX; ++signal) (void)::signal(signal, SIG_IGN);
    }});
    server.launch();
    check_signals(server);
    server.stop();  // TERM and CHLD work
}

BOOST_AUTO_TEST_CASE(blocked_signals_are_unblocked) {
    Daemon server({.parent = [] {
        sigset_t all;
        sigfillset(&all);
        must(::sigprocmask(SIG_BLOCK, &all, nullptr) == 0);
    }});
    server.launch();
    check_signals(server);
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_odd_umask_hurts_nobody) {
    Daemon server({.parent = [] { ::umask(0777); }});
    server.launch();
    struct stat lock {};
    BOOST_REQUIRE(::stat(server.lock_file().c_str(), &lock) == 0);
    BOOST_TEST((lock.st_mode & 07777) == 0644);
    BOOST_TEST(status_of(server.pid())["Umask"] == "0027");
    server.stop();
}

BOOST_AUTO_TEST_CASE(soft_limits_are_raised_to_the_hard_ones) {
    const std::vector<std::pair<__rlimit_resource, std::string>> limits{
        {RLIMIT_NOFILE, "Max open files"},
        {RLIMIT_FSIZE, "Max file size"},
        {RLIMIT_NPROC, "Max processes"},
        {RLIMIT_CPU, "Max cpu time"},
        {RLIMIT_MEMLOCK, "Max locked memory"}};
    Daemon server({.parent = [&] {
        for (const auto& [resource, name] : limits) {
            rlimit limit{};
            must(::getrlimit(resource, &limit) == 0);
            limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 256);
            must(::setrlimit(resource, &limit) == 0);
        }
    }});
    server.launch();
    for (const pid_t pid : {server.pid(), server.workers().front()}) {
        auto now = limits_of(pid);
        for (const auto& [resource, name] : limits)
            BOOST_TEST(now[name].soft == now[name].hard, name << " is " << now[name].soft);
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_low_limit_on_files_that_cannot_be_raised_is_told) {
    Daemon server({.parent = [] {
        const rlimit few{256, 256};
        must(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    }});
    server.launch();
    server.wait_for_line({"warning", "hard limit on open files is only 256"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_dirty_environment_reaches_nobody) {
    Daemon server({.sections = listener("echo", "probe"),
                   .environment = {"TZ=UTC", "PATH=/evil", "IFS=x", "LD_LIBRARY_PATH=/evil",
                                   "MALLOC_TRACE=/evil", "TMPDIR=/evil", "SECRET=hunter2",
                                   "LOCPATH=/evil", "=oops", "no equals sign"},
                   .probe = true});
    server.start();
    for (const pid_t pid : server.open_to_us())
        for (const std::string& variable : environment_of(pid))
            BOOST_TEST(variable.find("hunter2") == std::string::npos);
    std::string environment = Client(server.address()).ask("environment");
    for (const std::string& option : sanitizer_options())
        if (const auto at = environment.find(option + "|"); at != std::string::npos)
            environment.erase(at, option.size() + 1);
    BOOST_TEST(environment ==
               "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|TZ=UTC|");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_predictable_address_layout_is_given_up) {
    Daemon server({.parent = [] { must(::personality(ADDR_NO_RANDOMIZE) != -1); }});
    server.launch();
    const auto text = read_proc(preforkd::Pid{server.pid()}, "personality");
    BOOST_REQUIRE(text != "");
    BOOST_TEST((std::stoul(text, nullptr, 16) & ADDR_NO_RANDOMIZE) == 0u);
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_callers_folder_may_have_vanished) {
    const TempFolder folder;
    const std::string gone = folder / "gone";
    Daemon server({.parent = [&] {
        must(::mkdir(gone.c_str(), 0700) == 0 && ::chdir(gone.c_str()) == 0);
        must(::rmdir(gone.c_str()) == 0);
    }});
    server.launch();
    BOOST_TEST(link_of(server.pid(), "cwd") == "/");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
