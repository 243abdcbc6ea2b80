#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "client.hpp"
#include "daemon.hpp"
#include "gate.hpp"
#include "needs_root.hpp"

// A start that comes to nothing: one clear message, the right exit code, nothing left.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

/// Waits for the end of a start that must fail.
void check_refused(Daemon& server, int exit_code, const std::vector<std::string>& message) {
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(exit_code));
    BOOST_TEST(holds_all(outcome.printed, message), outcome.printed);
    const std::string program = outcome.printed.substr(0, outcome.printed.find(':'));
    BOOST_TEST((program == "preforkd" || program == "probed"), outcome.printed);
    BOOST_TEST(!std::filesystem::exists(server.lock_file()));  // already: a new start may follow
    server.check_nothing_left();
}

/// The same as a daemon and in the foreground.
void check_refuses(const Setup& setup, int exit_code, const std::vector<std::string>& message) {
    Daemon background(setup);
    background.begin_launch();
    check_refused(background, exit_code, message);
    Daemon foreground(setup);
    foreground.begin();
    check_refused(foreground, exit_code, message);
}

std::string gated(const Gate& gate) {
    return listener("web", "probe", "gate = " + gate.name() + "\n");
}

/// A start whose one worker comes to the gate, in the background and in the foreground.
template <class Order>
void check_refuses_when_worker(Order order, const std::vector<std::string>& message) {
    for (const bool in_background : {true, false}) {
        Gate gate;
        Daemon server({.keys = "workers = 1\n", .sections = gated(gate), .probe = true});
        in_background ? server.begin_launch() : server.begin();
        Visitor worker = gate.next();
        order(worker);
        check_refused(server, 1, message);
    }
}

std::vector<std::string> entries_of(const std::string& folder) {
    std::vector<std::string> entries;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        entries.push_back(entry.path());
    std::sort(entries.begin(), entries.end());
    return entries;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(startup)

BOOST_AUTO_TEST_CASE(a_started_server_serves_and_leaves_nothing) {
    Daemon server;
    server.start();
    BOOST_TEST(server.inbox().printed() == "");
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_launched_server_serves_and_leaves_nothing) {
    Daemon server;
    server.launch();
    BOOST_TEST(server.inbox().printed() == "");
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(every_fault_of_a_configuration_is_told_with_its_line) {
    const std::string keys = "wokers = 2\numask = 999\n";
    check_refuses({.keys = keys}, 6,
                  {"test.conf:4: unknown key 'wokers'; did you mean 'workers'?",
                   "test.conf:5: umask: '999'"});
}

BOOST_AUTO_TEST_CASE(a_configuration_that_is_not_there_is_told_with_what_to_do) {
    const Outcome outcome = run_preforkd({"-c", "/nonexistent/preforkd.conf"});
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(
        holds_all(outcome.printed, {"/nonexistent/preforkd.conf", "No such file", "create it"}));
}

BOOST_AUTO_TEST_CASE(a_wrong_option_is_a_usage_error) {
    const Outcome outcome = run_preforkd({"--foregruond"});
    BOOST_TEST(outcome.exit == exited(2));
    BOOST_TEST(holds_all(outcome.printed, {"--foregruond", "did you mean '--foreground'"}),
               outcome.printed);
}

// They were made, by root anywhere, and the slip of the pen went unnoticed.
BOOST_AUTO_TEST_CASE(a_folder_that_is_not_there_is_told_and_not_made) {
    const TempFolder outside;
    const std::string absent = outside / "typo";
    const std::vector<std::string> told{absent, "does not exist", "make it beforehand or correct"};
    check_refuses({.sections = "[listen.echo]\nservice = echo\naddress = unix:" + absent + "/x\n"},
                  1, told);
    check_refuses({.error_log = absent + "/error.log"}, 1, told);
    check_refuses({.keys = "access_log = " + absent + "/access.log\n"}, 1, told);
    check_refuses({.arguments = {"-o", "lock_file=" + absent + "/lock"}}, 1, told);
    BOOST_TEST(!std::filesystem::exists(absent));
}

BOOST_AUTO_TEST_CASE(what_lies_in_the_runtime_folder_needs_none_to_be_there) {
    const TempFolder outside;
    const std::string run = outside / "run";
    Daemon server({.sections = "[listen.echo]\nservice = echo\naddress = unix:" + run + "/x\n",
                   .arguments = {"-o", "runtime_dir=" + run}});
    server.start();
    BOOST_TEST(Client("unix:" + run + "/x").ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(root_does_not_trust_a_file_that_others_can_write, *precondition(needs_root)) {
    Daemon server;
    BOOST_REQUIRE(::chmod(server.config_file().c_str(), 0666) == 0);
    server.begin_launch();
    check_refused(server, 6, {"test.conf", "everyone can write it", "chmod go-w"});
}

BOOST_AUTO_TEST_CASE(workers_never_are_root, *precondition(needs_root)) {
    check_refuses({.keys = "user = root\n"}, 6, {"root"});
}

BOOST_AUTO_TEST_CASE(changing_the_user_needs_root, *precondition(needs_root)) {
    Daemon server({.keys = "user = daemon\n", .parent = become_nobody});
    server.give_to(nobody, nobody);
    server.begin_launch();
    check_refused(server, 4, {"only root can run the workers as 'daemon'", "remove 'user'"});
}

BOOST_AUTO_TEST_CASE(workers_must_be_able_to_execute_the_program, *precondition(needs_root)) {
    Daemon server;
    const std::string copy = server.folder() / "preforkd";
    std::filesystem::copy_file(PREFORKD_PROGRAM, copy);
    BOOST_REQUIRE(::chmod(copy.c_str(), 0700) == 0);
    Command command = server.command(false);
    command.program = copy;
    const Outcome outcome = finish(execute(command));
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(holds_all(outcome.printed, {"may not execute this program", "chmod a+x"}));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(a_log_that_cannot_be_opened_is_told) {
    TempFolder folder;
    std::ofstream(folder / "file") << "no folder";
    const std::string log = folder / "file" + "/error.log";
    check_refuses({.error_log = log}, 1, {"can't open error_log '" + log + "'", "Not a directory"});
}

BOOST_AUTO_TEST_CASE(a_read_only_file_system_is_told_with_what_a_unit_can_do,
                     *precondition(needs_root)) {
    const TempFolder folder;
    const auto make_read_only = [path = folder.path()] {
        if (::unshare(CLONE_NEWNS) < 0 || ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) < 0 ||
            ::mount("none", path.c_str(), "tmpfs", MS_RDONLY, nullptr) < 0)
            ::_exit(95);
    };
    const std::string read_only = "Read-only file system\n", advice = "ReadWritePaths=";
    const auto check = [&](const std::string& option, const std::string& log,
                           const std::string& message) {
        const std::string runtime_folder = "runtime_dir=" + folder.path() + "/a";
        Setup setup{
            .arguments = {"-o", runtime_folder}, .parent = make_read_only, .error_log = log};
        if (!option.empty()) setup.arguments.insert(setup.arguments.end(), {"-o", option});
        check_refuses(setup, 1, {message + read_only, "\n    configure another path", advice});
    };
    const std::string path = folder / "a";
    check("", path, "can't open error_log '" + path + "': ");
    check("", path + "/b", "can't open error_log '" + path + "/b': can't make its folder: ");
    check("access_log=" + path, "", "can't open access_log '" + path + "': ");
    check("lock_file=" + path, "", "lock file " + path + ": cannot open it: ");
    check("lock_file=" + path + "/b", "", "folder " + path + ": cannot make it: ");
}

// They ended without a word on what to do, the second one twice.
BOOST_AUTO_TEST_CASE(limits_that_are_too_low_are_told_once_with_what_to_do) {
    const auto check = [](__rlimit_resource resource, rlim_t limit, const std::string& message) {
        const auto set = [=] {
            const rlimit low{limit, limit};
            if (::setrlimit(resource, &low) < 0) ::_exit(96);
        };
        for (const bool in_background : {true, false}) {
            Daemon server({.parent = set});
            in_background ? server.begin_launch() : server.begin();
            check_refused(server, 1, {message});
            const std::string& printed = server.inbox().printed();
            BOOST_TEST(printed.find(message) == printed.rfind(message), printed);
        }
    };
    const std::string of_files = "raise the limit on the size of files (ulimit -f, LimitFSIZE=)";
    check(RLIMIT_FSIZE, 0, "cannot write our pid: File too large\n    " + of_files);
    check(RLIMIT_FSIZE, 1024, "scoreboard: File too large; " + of_files);
    for (const rlim_t few : {9, 10, 11, 12, 13})
        check(RLIMIT_NOFILE, few,
              "Too many open files; raise the limit on open files (ulimit -n, LimitNOFILE=)");
}

// It ended by SIGABRT, of an exception while it told of the first one.
BOOST_AUTO_TEST_CASE(a_failure_that_cannot_be_told_is_one_all_the_same) {
    Command command;
    command.arguments = {"preforkd", "--foregruond"};
    command.environment = sanitizer_options();
    command.before_exec = [] {
        if (::dup2(::open("/dev/full", O_WRONLY | O_CLOEXEC), STDERR_FILENO) < 0) ::_exit(96);
    };
    BOOST_TEST(finish(execute(command)).exit == exited(2));
}

BOOST_AUTO_TEST_CASE(a_log_whose_reader_is_not_there_is_not_waited_for) {
    TempFolder folder;
    const std::string log = folder / "fifo";
    BOOST_REQUIRE(::mkfifo(log.c_str(), 0600) == 0);
    check_refuses({.error_log = log}, 1, {log, "is a FIFO that nobody reads"});
}

BOOST_AUTO_TEST_CASE(a_worker_that_says_why_it_cannot_start_is_quoted) {
    check_refuses_when_worker([](Visitor& worker) { worker.fail("the moon is full"); },
                              {"worker main/0 can't start: the moon is full"});
}

BOOST_AUTO_TEST_CASE(a_worker_that_exits_before_it_is_ready_fails_the_start) {
    check_refuses_when_worker([](Visitor& worker) { worker.exit(3); },
                              {"worker main/0 can't start", "exit status 3"});
}

BOOST_AUTO_TEST_CASE(a_worker_that_crashes_before_it_is_ready_fails_the_start) {
    check_refuses_when_worker([](Visitor& worker) { worker.die(SIGSEGV); },
                              {"worker main/0 can't start", "signal 11 (Segmentation fault)"});
}

BOOST_AUTO_TEST_CASE(a_worker_that_breaks_the_channels_rules_fails_the_start) {
    check_refuses_when_worker([](Visitor& worker) { worker.misbehave(); },
                              {"worker main/0 can't start", "invalid message"});
}

BOOST_AUTO_TEST_CASE(a_worker_that_does_not_get_ready_in_time_fails_the_start) {
    Gate gate;
    Daemon server(
        {.keys = "workers = 1\nready_timeout = 1s\n", .sections = gated(gate), .probe = true});
    server.begin_launch();
    const Visitor worker = gate.next();
    check_refused(server, 1, {"worker main/0 can't start", "was not ready within ready_timeout"});
}

BOOST_AUTO_TEST_CASE(one_bad_worker_takes_the_good_ones_with_it) {
    Gate gate;
    Daemon server(
        {.sections = gated(gate) + listener("echo", "probe", "workers = 2\n"), .probe = true});
    server.begin_launch();
    Visitor first = gate.next();
    Visitor second = gate.next();
    first.pass();
    second.fail("no more");
    check_refused(server, 1, {"can't start: no more"});
}

BOOST_AUTO_TEST_CASE(a_server_killed_during_its_start_is_told_by_its_launcher) {
    Gate gate;
    Daemon server({.keys = "workers = 1\n", .sections = gated(gate), .probe = true});
    server.begin_launch();
    Visitor worker = gate.next();
    const Process master(stat_of(worker.pid()).parent);
    master.send(SIGKILL);
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(1));
    BOOST_TEST(holds_all(outcome.printed, {"died during start-up, of signal 9"}), outcome.printed);
    worker.pass();  // it finds its master gone
    worker.process().wait_for_end();
}

BOOST_AUTO_TEST_CASE(an_interrupted_launcher_leaves_nothing) {
    Gate gate;
    Daemon server({.keys = "workers = 1\n", .sections = gated(gate), .probe = true});
    server.begin_launch();
    const Visitor worker = gate.next();
    server.process().send(SIGINT);
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == killed_by(SIGINT));
    BOOST_TEST(holds_all(outcome.printed, {"start interrupted"}), outcome.printed);
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(an_interrupted_start_in_the_foreground_leaves_nothing) {
    Gate gate;
    Daemon server({.keys = "workers = 1\n", .sections = gated(gate), .probe = true});
    server.begin();
    const Visitor worker = gate.next();
    server.process().send(SIGINT);
    check_refused(server, 1, {"told to stop"});
}

BOOST_AUTO_TEST_CASE(a_service_is_served_without_any_file) {
    TempFolder folder;
    Inbox inbox(folder / "notify", folder / "error.log");
    Command command;
    command.arguments = {"preforkd", "echo", own_ip() + ":0"};
    command.environment = sanitizer_options();
    Execution server = execute(command);
    inbox.listen_to(std::move(server.printed));
    const std::string before = "listening listener=echo address=";
    BOOST_REQUIRE(inbox.wait_until([&] { return holds_all(inbox.printed(), {before}); },
                                   server.process.pidfd()));
    const std::string& printed = inbox.printed();
    const auto begin = printed.find(before) + before.size();
    const std::string address = printed.substr(begin, printed.find('\n', begin) - begin);
    BOOST_TEST(Client(address).ask("hello") == "hello");
    server.process.send(SIGINT);
    BOOST_TEST(server.process.reap() == exited(0));
    BOOST_TEST(try_to_connect(address) == ECONNREFUSED);
}

BOOST_AUTO_TEST_CASE(help_and_version_are_no_failures) {
    const Outcome help = run_preforkd({"--help"});
    BOOST_TEST(help.exit == exited(0));
    BOOST_TEST(holds_all(help.printed, {"--config FILE", "echo"}), help.printed);
    const Outcome version = run_preforkd({"-V"});
    BOOST_TEST(version.exit == exited(0));
    BOOST_TEST(version.printed.starts_with("preforkd "), version.printed);
}

BOOST_AUTO_TEST_CASE(checking_a_configuration_writes_and_binds_nothing) {
    TempFolder folder;
    const auto taken = listen_at(own_ip() + ":0");
    Daemon server({.sections = "[listen.echo]\nservice = echo\naddress = " + address_of(taken),
                   .error_log = folder / "new" + "/error.log"});
    const auto before = entries_of(server.folder().path());
    for (const char* const option : {"-t", "-T"}) {
        const Outcome outcome = run_preforkd({option, "-c", server.config_file()});
        BOOST_TEST(outcome.exit == exited(0));
    }
    BOOST_TEST(entries_of(server.folder().path()) == before, boost::test_tools::per_element());
    BOOST_TEST(entries_of(folder.path()).empty());
}

BOOST_AUTO_TEST_CASE(checking_prints_each_fault_and_exits_6) {
    Daemon server({.keys = "umask = 999\nwokers = 2\n"});
    const Outcome outcome = run_preforkd({"-t", "-c", server.config_file()});
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(holds_all(outcome.printed, {"test.conf:4: ", "test.conf:5: "}), outcome.printed);
}

BOOST_AUTO_TEST_CASE(a_printed_configuration_is_a_configuration) {
    Daemon server({.keys = "workers = 3\ndrain_timeout = 90s\n",
                   .sections = listener("echo") + listener("own", "echo", "workers = 1\n")});
    const Outcome first = run_preforkd({"-T", "-c", server.config_file()});
    BOOST_TEST(first.exit == exited(0));
    BOOST_TEST(holds_all(first.printed, {"workers         = 3", "[listen.echo]", "[listen.own]"}),
               first.printed);
    std::ofstream(server.config_file()) << first.printed;
    const Outcome second = run_preforkd({"-T", "-c", server.config_file()});
    BOOST_TEST(second.exit == exited(0));
    BOOST_TEST(second.printed == first.printed);
}

BOOST_AUTO_TEST_SUITE_END()
