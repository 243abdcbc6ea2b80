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
#include "variant.hpp"

// USR2 with a program that can't take over: a verdict, and nothing else has changed.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

Setup fed_setup() {
    Setup setup = UpgradableDaemon::with_keys();
    setup.environment = {"WATCHDOG_USEC=2000000"};
    return setup;
}

/// A server whose program is about to be replaced by something bad.
struct Upgraded {
    UpgradableDaemon server{fed_setup()};
    std::vector<pid_t> workers;

    Upgraded() {
        server.start();
        workers = server.workers();
    }

    void spoil(const std::string& text) {
        std::ofstream file(server.path() + ".bad", std::ios::binary);
        file << text;
        file.close();
        BOOST_REQUIRE(file);
        put_in_place();
    }
    /// Puts PROGRAM.bad where the program is.
    void put_in_place() {
        std::filesystem::permissions(server.path() + ".bad", std::filesystem::perms(0755));
        std::filesystem::rename(server.path() + ".bad", server.path());
    }

    /// USR2, refused for that reason; the next one, with a good program, is not.
    void check_refused(const std::vector<std::string>& why) {
        server.send(SIGUSR2);
        check_verdict(why);
    }
    void check_verdict(const std::vector<std::string>& why) {
        // One that hangs has ten seconds of its own.
        (void)server.inbox().wait_until(
            [&] { return server.count_lines({"upgrade refused"}) > 0; });
        const std::string line = server.wait_for_line({"upgrade refused"});
        BOOST_TEST(holds_all(line, why), line);
        server.wait_for_note({"READY=1"});
        server.wait_for_note({"STATUS=running: generation 1, 2 serving", "upgrade refused: "});
        BOOST_TEST(server.inbox().wait_until([&] { return server.workers() == workers; }));
        BOOST_TEST(title_of(server.pid()) == "probed: master");
        BOOST_TEST(server.locked_by().value() == server.pid());
        BOOST_TEST(Client(server.address()).ask("hello") == "hello");
        server.install({.version = "3.0"});
        server.send(SIGUSR2);
        server.wait_for_line({"upgrade ok", "from=1.0", "to=3.0"});
        server.stop();
    }
    void check_refused(const Variant& variant, const std::vector<std::string>& why) {
        server.install(variant);
        check_refused(why);
    }
};

std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(upgrade_refused)

// ---- What lies there is no program ----

BOOST_AUTO_TEST_CASE(a_missing_program) {
    Upgraded upgraded;
    std::filesystem::remove(upgraded.server.path());
    upgraded.check_refused({upgraded.server.path(), "can't open it", "No such file"});
}

BOOST_AUTO_TEST_CASE(a_folder) {
    Upgraded upgraded;
    std::filesystem::remove(upgraded.server.path());
    std::filesystem::create_directory(upgraded.server.path());
    upgraded.server.send(SIGUSR2);
    const std::string line = upgraded.server.wait_for_line({"upgrade refused"});
    BOOST_TEST(holds_all(line, {"is no regular file"}), line);
    std::filesystem::remove(upgraded.server.path());
    upgraded.server.stop();
}

BOOST_AUTO_TEST_CASE(a_fifo_does_not_hold_the_master) {
    Upgraded upgraded;
    std::filesystem::remove(upgraded.server.path());
    BOOST_REQUIRE(::mkfifo(upgraded.server.path().c_str(), 0755) == 0);
    upgraded.check_refused({"is no regular file"});
}

BOOST_AUTO_TEST_CASE(a_program_that_may_not_be_executed) {
    Upgraded upgraded;
    upgraded.server.install({.version = "2.0"});
    std::filesystem::permissions(upgraded.server.path(), std::filesystem::perms(0644));
    upgraded.check_refused({"chmod a+x"});
}

BOOST_AUTO_TEST_CASE(a_program_that_others_may_change, *precondition(needs_root)) {
    Upgraded upgraded;
    upgraded.server.install({.version = "2.0"});
    std::filesystem::permissions(upgraded.server.path(), std::filesystem::perms(0757));
    upgraded.check_refused({"has mode 0757, others can write to it", "chmod go-w it"});
}

BOOST_AUTO_TEST_CASE(somebody_elses_program, *precondition(needs_root)) {
    Upgraded upgraded;
    upgraded.server.install({.version = "2.0"});
    BOOST_REQUIRE(::chown(upgraded.server.path().c_str(), nobody, nobody) == 0);
    upgraded.check_refused({"belongs to uid 65534; root executes only what is root's"});
}

BOOST_AUTO_TEST_CASE(a_script) {
    Upgraded upgraded;
    upgraded.spoil("#!/bin/sh\nexit 0\n");
    upgraded.check_refused({"is no program (no ELF file)"});
}

BOOST_AUTO_TEST_CASE(an_empty_file) {
    Upgraded upgraded;
    upgraded.spoil("");
    upgraded.check_refused({"is no program (no ELF file)"});
}

BOOST_AUTO_TEST_CASE(a_truncated_program) {
    for (const double part : {0.0001, 0.5}) {
        Upgraded upgraded;
        const std::string whole = content_of("/proc/self/exe");
        const auto size = static_cast<std::size_t>(part * static_cast<double>(whole.size()));
        upgraded.spoil(whole.substr(0, size));
        upgraded.check_refused({"it ended without an answer"});
    }
}

BOOST_AUTO_TEST_CASE(a_program_for_another_machine) {
    Upgraded upgraded;
    std::string whole = content_of("/proc/self/exe");
    whole.at(18) = '\x7f';  // e_machine; elf(5)
    upgraded.spoil(whole);
    upgraded.check_refused({"it ended without an answer", "Exec format error"});
}

// ---- What lies there is a program, but can't take over ----

BOOST_AUTO_TEST_CASE(a_program_that_is_no_preforkd) {
    Upgraded upgraded;
    std::filesystem::copy_file("/bin/true", upgraded.server.path() + ".bad");
    upgraded.put_in_place();
    upgraded.check_refused({"it ended without an answer: exit status 0"});
}

BOOST_AUTO_TEST_CASE(a_program_that_prints_why_it_fails) {
    Upgraded upgraded;
    std::filesystem::copy_file("/bin/cat", upgraded.server.path() + ".bad");
    upgraded.put_in_place();
    upgraded.check_refused(
        {"it ended without an answer: exit status 1; it printed: ", "unrecognized option"});
}

BOOST_AUTO_TEST_CASE(a_program_that_crashes_when_it_is_tried) {
    Upgraded().check_refused({.version = "2.0", .when_proving = "die 11"},
                             {"it ended without an answer: signal 11"});
}

BOOST_AUTO_TEST_CASE(a_program_that_hangs_when_it_is_tried) {
    Upgraded upgraded;
    upgraded.server.install({.version = "2.0", .when_proving = "hang"});
    upgraded.server.send(SIGUSR2);
    // Nobody waits for it: the watchdog is fed, and signals are served.
    for (int i = 0; i < 3; ++i) {
        upgraded.server.mark();
        upgraded.server.wait_for_note({"WATCHDOG=1"});
    }
    upgraded.server.send(SIGUSR1);
    upgraded.server.wait_for_line({"logs reopened"});
    upgraded.check_verdict({"it did not answer in time (10 s)"});
}

BOOST_AUTO_TEST_CASE(a_program_that_answers_something_else) {
    Upgraded().check_refused({.version = "2.0", .when_proving = "say hello"},
                             {"it answered something else than a preforkd would: 'hello'"});
}

BOOST_AUTO_TEST_CASE(a_configuration_that_the_new_program_refuses) {
    Upgraded upgraded;
    upgraded.server.configure("wokers = 2\n", listener("echo", "probe"));
    upgraded.server.install({.version = "2.0"});
    upgraded.server.send(SIGUSR2);
    const std::string line = upgraded.server.wait_for_line({"upgrade refused"});
    BOOST_TEST(holds_all(line, {"test.conf:4", "unknown key 'wokers'"}), line);
    upgraded.server.configure("workers = 2\n", listener("echo", "probe"));
    upgraded.server.send(SIGUSR2);
    upgraded.server.wait_for_line({"upgrade ok", "to=2.0"});
    upgraded.server.stop();
}

BOOST_AUTO_TEST_CASE(a_configuration_that_no_reload_could_put_into_service) {
    Upgraded upgraded;
    upgraded.server.configure("umask = 0077\n", listener("echo", "probe"));
    upgraded.server.install({.version = "2.0"});
    upgraded.server.send(SIGUSR2);
    const std::string line = upgraded.server.wait_for_line({"upgrade refused"});
    BOOST_TEST(holds_all(line, {"test.conf:4", "umask"}), line);
    upgraded.server.stop();
}

BOOST_AUTO_TEST_CASE(a_program_that_is_written_to_after_its_proof) {
    Gate gate;
    Upgraded upgraded;
    upgraded.server.install({.version = "2.0", .when_proving = "gate " + gate.name()});
    upgraded.server.send(SIGUSR2);
    Visitor next = gate.next();
    // It runs, so only its metadata can be touched; a program that doesn't could be rewritten.
    std::filesystem::last_write_time(upgraded.server.path(),
                                     std::filesystem::file_time_type::clock::now());
    next.pass();
    upgraded.check_verdict({"its file was changed after it had been proven"});
}

// ---- The way back ----

BOOST_AUTO_TEST_CASE(a_program_that_cannot_go_on_after_the_exec) {
    Upgraded().check_refused({.version = "2.0", .when_taking_over = "without services"},
                             {"can't go on with the running configuration", "'probe'"});
}

BOOST_AUTO_TEST_CASE(a_program_that_crashes_after_the_exec) {
    for (const int signal : {SIGSEGV, SIGABRT})
        Upgraded().check_refused(
            {.version = "2.0", .when_taking_over = "die later " + std::to_string(signal)},
            {"it crashed while taking over: signal " + std::to_string(signal)});
}

BOOST_AUTO_TEST_CASE(a_program_that_hangs_after_the_exec) {
    Upgraded upgraded;
    upgraded.server.install({.version = "2.0", .when_taking_over = "hang later"});
    upgraded.server.send(SIGUSR2);
    upgraded.server.wait_for_line({"executing the new program"});
    BOOST_TEST(Client(upgraded.server.address()).ask("hello") == "hello");
    upgraded.check_verdict({"it did not take over in 10 seconds"});
}

BOOST_AUTO_TEST_CASE(a_worker_that_dies_while_the_old_program_comes_back) {
    Gate gate;
    Upgraded upgraded;
    UpgradableDaemon& server = upgraded.server;
    server.install(
        {.version = "2.0", .when_taking_over = "gate " + gate.name() + " without services"});
    server.send(SIGUSR2);
    Visitor next = gate.next();
    const pid_t victim = server.worker("main/1");
    Process(victim).send(SIGKILL);
    server.process().send(SIGHUP);
    next.pass();
    server.wait_for_line({"upgrade refused", "can't go on"});
    server.wait_for_line({"worker exited", "worker=" + std::to_string(victim), "signal 9"});
    server.wait_for_line({"reload ok", "generation=2"});
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
