#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "client.hpp"
#include "daemon.hpp"
#include "deadline.hpp"
#include "needs_root.hpp"
#include "needs_sandbox.hpp"
#include "unit/process_support.hpp"

// Every system call of the master fails once, each in a run of its own: a start serves or ends with
// a message, a reload or an upgrade is done or refused, and whatever was half done leaves nothing
// behind. strace(1) does it, option -e inject. By default a sample; with PREFORKD_ALL_FAULTS=1 all
// of them.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

constexpr const char* strace = "/usr/bin/strace";

boost::test_tools::assertion_result needs_strace(boost::unit_test::test_unit_id id) {
    if (!std::filesystem::exists(strace)) {
        boost::test_tools::assertion_result result(false);
        result.message() << "needs strace";
        return result;
    }
    return needs_sandbox(id);  // sanitizers and ptrace(2) don't go together
}

/// The `occurrence`-th call of that name.
struct Call {
    std::string name;
    unsigned occurrence = 1;
};

// close(2) never fails so that the descriptor stays; brk(2) itself has no errors, but stays where
// it was; the others have none that a caller could meet who passes what is right.
const std::set<std::string> never_fail{
    "close",          "exit_group",   "rt_sigreturn",    "getpid", "getppid", "geteuid",
    "getuid",         "umask",        "execve",          "munmap", "futex",   "restart_syscall",
    "rt_sigprocmask", "rt_sigaction", "timerfd_settime", "waitid", "alarm",   "brk"};

const std::map<std::string, std::string> likely_errors{{"openat", "EMFILE"},
                                                       {"socket", "EMFILE"},
                                                       {"socketpair", "EMFILE"},
                                                       {"fcntl", "EMFILE"},
                                                       {"epoll_create1", "EMFILE"},
                                                       {"timerfd_create", "EMFILE"},
                                                       {"signalfd4", "EMFILE"},
                                                       {"pidfd_open", "EMFILE"},
                                                       {"memfd_create", "EMFILE"},
                                                       {"pipe2", "EMFILE"},
                                                       {"mmap", "ENOMEM"},
                                                       {"brk", "ENOMEM"},
                                                       {"mprotect", "ENOMEM"},
                                                       {"clone", "EAGAIN"},
                                                       {"fork", "EAGAIN"},
                                                       {"bind", "EADDRINUSE"},
                                                       {"write", "ENOSPC"},
                                                       {"epoll_ctl", "ENOSPC"},
                                                       {"epoll_wait", "EINTR"},
                                                       {"sendmsg", "ENOBUFS"},
                                                       {"sendto", "ENOBUFS"},
                                                       {"recvmsg", "ENOMEM"},
                                                       {"read", "EIO"},
                                                       {"pread64", "EIO"}};

std::string error_for(const std::string& call) {
    const auto known = likely_errors.find(call);
    return known == likely_errors.end() ? "EPERM" : known->second;
}

/// Of fcntl(2), only what needs a descriptor or seals memory has errors.
bool may_fail(const std::string& name, const std::string& line) {
    const auto has = [&](const char* part) { return line.find(part) != std::string::npos; };
    return name == "fcntl" ? has("F_DUPFD") || has("F_ADD_SEALS") : !never_fail.contains(name);
}

/// The calls in strace's output, from the first that mentions `begin`. Not those that load a new
/// program in place: nobody could do anything about them, and its proof has just made the same.
std::vector<Call> calls_in(const std::string& path, std::string begin) {
    std::ifstream file(path);
    std::map<std::string, unsigned> counts;
    std::vector<Call> calls;
    bool wanted = begin.empty();
    for (std::string line; std::getline(file, line);) {
        const std::string name = line.substr(0, line.find('('));
        if (name.empty() ||
            name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos)
            continue;
        const unsigned occurrence = ++counts[name];
        wanted = wanted || line.find(begin) != std::string::npos;
        if (wanted && may_fail(name, line)) calls.push_back({name, occurrence});
        if (name == "execveat") {
            wanted = false;
            begin = "F_GETFD";  // the first that the program itself asks
        }
    }
    return calls;
}

/// All of them, or some: the first call of each name, and every n-th of the others.
std::vector<Call> chosen_from(const std::vector<Call>& calls, std::size_t about) {
    BOOST_TEST_MESSAGE(calls.size() << " calls may fail");
    if (std::getenv("PREFORKD_ALL_FAULTS") != nullptr) return calls;
    const std::size_t step = calls.size() / about + 1;
    std::vector<Call> chosen;
    std::set<std::string> seen;
    for (std::size_t i = 0; i < calls.size(); ++i)
        if (seen.insert(calls[i].name).second || i % step == 0) chosen.push_back(calls[i]);
    return chosen;
}

std::vector<std::string> injection(const Call& call) {
    return {"-e", "trace=" + call.name, "-e",
            "inject=" + call.name + ":error=" + error_for(call.name) +
                ":when=" + std::to_string(call.occurrence)};
}

/// A server at a unix socket, whose path is known whatever fails.
struct Subject {
    TempFolder folder;
    std::string address = "unix:" + (folder / "socket");
    std::string trace = folder / "trace";
    Setup setup{.keys = "workers = 2\nready_timeout = 5s\ndrain_timeout = 1s\n",
                .sections = "[listen.echo]\nservice = echo\naddress = " + address + "\n"};

    Subject() { std::filesystem::permissions(folder.path(), std::filesystem::perms(0755)); }
};

bool holds(const std::vector<std::string>& texts, const std::string& part) {
    for (const std::string& text : texts)
        if (text.find(part) != std::string::npos) return true;
    return false;
}

/// Ready, by the log or by the message, for one of them may be what failed. False: it has ended.
bool becomes_ready(Daemon& server) {
    Inbox& inbox = server.inbox();
    return inbox.wait_until(
        [&] {
            return holds(inbox.notes(), "READY=1") ||
                   holds(inbox.log_lines(), " ready generation=");
        },
        server.process().pidfd());
}

/// A start with that fault, and a stop.
void start_with(const Call& call) {
    Subject subject;
    subject.setup.wrapper = {strace, "-D", "-qq", "-o", "/dev/null"};
    const auto options = injection(call);
    subject.setup.wrapper.insert(subject.setup.wrapper.end(), options.begin(), options.end());
    Daemon server(subject.setup);
    server.begin();
    const bool ready = becomes_ready(server);
    if (ready) {
        BOOST_TEST(Client(subject.address).ask("hello") == "hello");
        server.process().send(SIGTERM);
    }
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit.signal == 0);
    if (!ready) BOOST_TEST(outcome.exit.status != 0);
    if (outcome.exit.status != 0)
        BOOST_TEST((outcome.printed + server.inbox().whole_log()).find(' ') != std::string::npos,
                   "ended without a message");
    end_all_children();
    BOOST_TEST(try_to_connect(subject.address) != 0);
}

/// strace(1), attached to a running process until it is let go.
class Tracer {
  public:
    Tracer(pid_t target, std::vector<std::string> options) {
        Command command;
        command.program = strace;
        command.arguments = {"strace", "-p", std::to_string(target)};
        command.arguments.insert(command.arguments.end(), options.begin(), options.end());
        execution_ = execute(command);
        std::string printed;
        char byte = 0;
        while (printed.find("attached") == std::string::npos) {
            BOOST_REQUIRE(wait_for(execution_.printed.get(), POLLIN, Deadline()));
            BOOST_REQUIRE_MESSAGE(::read(execution_.printed.get(), &byte, 1) == 1, printed);
            printed += byte;
        }
    }
    ~Tracer() {
        execution_.process.send(SIGTERM);
        (void)execution_.process.reap();
    }
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;

  private:
    Execution execution_{};
};

/// To be made before they may end.
std::vector<Process> processes_of(const std::vector<pid_t>& pids) {
    return {pids.begin(), pids.end()};
}

/// A reload that must succeed: it ends every worker that there was.
void reload_for_real(Daemon& server) {
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    // Looks again when the log tells of an end.
    server.wait_for("the end of all old workers", [&] { return server.workers().size() == 2; });
}

/// What a signal asks of a running master.
struct Change {
    int signal;
    std::string done;                   ///< as the log says it
    std::vector<std::string> verdicts;  ///< all that the log may say, `done` included
    std::string in_status;              ///< how any of them stands in STATUS=
};
const Change reload{SIGHUP, "reload ok", {"reload ok", "reload refused"}, "; reload "};
const Change upgrade{
    SIGUSR2, "upgrade ok", {"upgrade ok", "upgrade refused", "upgraded, but"}, "; upgrade"};

/// By the log or by the message, for one of them may be what failed.
bool has_verdict(const Change& change, Inbox& inbox) {
    const auto is_logged = [&](const auto& verdict) { return holds(inbox.log_lines(), verdict); };
    return std::any_of(change.verdicts.begin(), change.verdicts.end(), is_logged) ||
           holds(inbox.notes(), change.in_status);
}

/// The calls that the master makes for it, up to the end of the workers that there were.
std::vector<Call> calls_of(const Change& change) {
    Subject subject;
    Daemon server(subject.setup);
    server.start();
    {
        const Tracer tracer(server.pid(), {"-o", subject.trace});
        auto before = processes_of(server.workers());
        server.send(change.signal);
        server.wait_for_line({change.done});
        for (Process& process : before) process.wait_for_end();
        server.wait_for_line({"worker exited"});
    }
    server.stop();
    return calls_in(subject.trace, "");
}

/// The same with that fault.
void change_with(const Change& change, const Call& call) {
    Subject subject;
    Daemon server(subject.setup);
    server.start();
    {
        auto options = injection(call);
        options.insert(options.end(), {"-o", "/dev/null"});
        const Tracer tracer(server.pid(), options);
        server.send(change.signal);
        Inbox& inbox = server.inbox();
        BOOST_REQUIRE_MESSAGE(
            inbox.wait_until([&] { return has_verdict(change, inbox); }, server.process().pidfd()),
            "neither done nor refused");
        BOOST_TEST(Client(subject.address).ask("hello") == "hello");
    }
    reload_for_real(server);
    BOOST_TEST(Client(subject.address).ask("hello") == "hello");
    server.stop();
}

void fail_each_call_of(const Change& change, std::size_t fewest) {
    const auto calls = calls_of(change);
    BOOST_REQUIRE(calls.size() > fewest);
    for (const Call& call : chosen_from(calls, 20))
        BOOST_TEST_CONTEXT(call.name << " number " << call.occurrence) change_with(change, call);
}

/// Makes the first calls that would make a process fail.
std::vector<std::string> failing_forks(const std::string& which) {
    return {"-e", "trace=clone,fork,clone3",
            "-e", "inject=clone,fork,clone3:error=EAGAIN:when=" + which,
            "-o", "/dev/null"};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(faults, *precondition(needs_strace))

BOOST_AUTO_TEST_CASE(a_start_with_any_fault_serves_or_ends_with_a_message) {
    Subject subject;
    subject.setup.wrapper = {strace, "-D", "-qq", "-o", subject.trace};
    Daemon server(subject.setup);
    server.start();
    server.stop();
    const auto calls = calls_in(subject.trace, "getcwd(");
    BOOST_REQUIRE(calls.size() > 100u);
    for (const Call& call : chosen_from(calls, 30))
        BOOST_TEST_CONTEXT(call.name << " number " << call.occurrence) start_with(call);
}

BOOST_AUTO_TEST_CASE(a_reload_with_any_fault_is_done_or_refused, *precondition(needs_root)) {
    fail_each_call_of(reload, 50);
}

BOOST_AUTO_TEST_CASE(a_fork_that_fails_refuses_a_reload_with_its_reason_and_the_next_one_succeeds,
                     *precondition(needs_root)) {
    Subject subject;
    Daemon server(subject.setup);
    server.start();
    const auto workers = server.workers();
    {
        const Tracer tracer(server.pid(), failing_forks("1"));
        server.send(SIGHUP);
        server.wait_for_line({"reload refused", "Resource temporarily unavailable"});
    }
    BOOST_TEST(server.inbox().wait_until([&] { return server.workers() == workers; }));
    reload_for_real(server);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_fork_that_fails_in_a_respawn_is_tried_again, *precondition(needs_root)) {
    Subject subject;
    Daemon server(subject.setup);
    server.start();
    {
        const Tracer tracer(server.pid(), failing_forks("1..3"));
        server.mark();
        Process(server.worker("main/0")).send(SIGKILL);
        server.wait_for_line({"can't start a worker process", "Resource temporarily unavailable"});
        server.wait_for_line({"worker ready", "slot=main/0"});
    }
    BOOST_TEST(server.workers().size() == 2u);
    BOOST_TEST(Client(subject.address).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_upgrade_with_any_fault_is_done_or_refused, *precondition(needs_root)) {
    fail_each_call_of(upgrade, 100);
}

BOOST_AUTO_TEST_SUITE_END()
