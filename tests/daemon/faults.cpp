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
#include "file_events.hpp"
#include "needs_root.hpp"
#include "shared/kernel_sandbox.hpp"
#include "strace.hpp"
#include "unit/process_support.hpp"

// Every system call of the master fails once, each in a run of its own: a start serves or ends with
// a message, a reload or an upgrade is done or refused, and whatever was half done leaves nothing
// behind. strace(1) does it, option -e inject. By default a sample; with PREFORKD_ALL_FAULTS=1 all
// of them.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

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

/// Nothing of what should have been taken from a worker has stayed with it because of a fault.
void check_confined(const std::vector<pid_t>& workers) {
    for (const pid_t worker : workers) {
        auto status = status_of(worker);
        if (status.empty()) continue;  // an old one, which has ended meanwhile
        BOOST_TEST(status["Seccomp"] == "2");
        BOOST_TEST(status["NoNewPrivs"] == "1");
        BOOST_TEST(status["CapPrm"] == "0000000000000000");
        for (const char* const ids : {"Uid", "Gid"})
            BOOST_TEST(("\t" + status[ids]).find("\t0") == std::string::npos, status[ids]);
    }
}

/// The same with that fault, in the master or, with option -f, in the new workers as well.
void change_with(const Change& change, const Call& call,
                 const std::vector<std::string>& more_options = {}) {
    Subject subject;
    Daemon server(subject.setup);
    server.start();
    {
        auto options = injection(call);
        options.insert(options.end(), {"-o", "/dev/null"});
        options.insert(options.end(), more_options.begin(), more_options.end());
        const Tracer tracer(server.pid(), options);
        server.send(change.signal);
        Inbox& inbox = server.inbox();
        BOOST_REQUIRE_MESSAGE(
            inbox.wait_until([&] { return has_verdict(change, inbox); }, server.process().pidfd()),
            "neither done nor refused");
        BOOST_TEST(Client(subject.address).ask("hello") == "hello");
        if (holds(inbox.log_lines(), change.done)) check_confined(server.workers());
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

BOOST_AUTO_TEST_CASE(when_the_system_has_no_descriptor_left_a_worker_waits_and_tries_once_a_tick,
                     *precondition(needs_root)) {
    Subject subject;
    // strace changes the call's number, which the sandbox kills for.
    subject.setup.keys = "workers = 1\nsandbox = off\n";
    Daemon server(subject.setup);
    server.start();
    Client before(subject.address);
    BOOST_TEST(before.ask("hello") == "hello");
    const auto count_attempts = [&] {
        std::ifstream trace(subject.trace);
        std::size_t count = 0;
        for (std::string line; std::getline(trace, line);) count += line.starts_with("accept4(");
        return count;
    };
    FileEvents events(subject.folder.path());
    Client waiting = [&] {
        const Tracer tracer(
            server.worker("main/0"),
            {"-e", "trace=accept4", "-e", "inject=accept4:error=ENFILE", "-o", subject.trace});
        const auto begin = std::chrono::steady_clock::now();
        Client client(subject.address);
        const std::string line = server.wait_for_line({"can't accept"});
        BOOST_TEST(holds_all(line, {" error ", "Too many open files in system"}), line);
        BOOST_TEST(before.ask("hello") == "hello");
        constexpr std::size_t attempts = 3;
        BOOST_TEST(events.wait_until([&] { return count_attempts() >= attempts; }));
        // One at once, and one each second.
        const std::size_t made = count_attempts();
        const auto spent = std::chrono::duration_cast<std::chrono::seconds>(
            std::chrono::steady_clock::now() - begin);
        BOOST_TEST(made <= static_cast<std::size_t>(spent.count()) + 2);
        BOOST_TEST((spent >= std::chrono::seconds(attempts - 2)));
        return client;
    }();
    BOOST_TEST(waiting.ask("hello") == "hello");
    BOOST_TEST(server.count_lines({"can't accept"}) == 1u);
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_an_older_kernel_cannot_confine_is_told_once) {
    Subject subject;
    subject.setup.wrapper = {strace,
                             "-D",
                             "-qq",
                             "-o",
                             "/dev/null",
                             "-e",
                             "trace=landlock_create_ruleset",
                             "-e",
                             "inject=landlock_create_ruleset:retval=2"};
    Daemon server(subject.setup);
    server.start();
    reload_for_real(server);
    const std::string& log = server.inbox().whole_log();
    const auto told = log.find(preforkd::sandbox_gaps({.landlock = 2, .seccomp = true}).front());
    BOOST_TEST(told != std::string::npos);
    BOOST_TEST(log.find("this kernel's Landlock", told + 1) == std::string::npos);
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_upgrade_with_any_fault_is_done_or_refused, *precondition(needs_root)) {
    fail_each_call_of(upgrade, 100);
}

BOOST_AUTO_TEST_CASE(a_worker_that_is_set_up_with_any_fault_is_confined_or_refused,
                     *precondition(needs_root)) {
    Subject subject;
    Daemon server(subject.setup);
    server.start();
    {
        const Tracer tracer(server.pid(), {"-f", "-o", subject.trace});
        server.send(SIGHUP);
        server.wait_for_line({"reload ok"});
    }
    const auto calls = calls_between_fork_and_exec(subject.trace, server.pid());
    server.stop();
    BOOST_REQUIRE(calls.size() > 50u);
    for (const Call& call : chosen_from(calls, 5))
        BOOST_TEST_CONTEXT(call.name << " number " << call.occurrence)
    change_with(reload, call, {"-f"});
}

BOOST_AUTO_TEST_SUITE_END()
