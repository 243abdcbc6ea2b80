#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
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
#include "shared/scoreboard.hpp"
#include "variant.hpp"

// preforkctl against real servers.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

Outcome preforkctl(const Daemon& server, const std::vector<std::string>& arguments) {
    return run_preforkctl(server.lock_file(), arguments);
}

void check_says(const Outcome& outcome, int code, const std::vector<std::string>& parts) {
    BOOST_TEST(outcome.exit == exited(code), outcome.printed);
    BOOST_TEST(holds_all(outcome.printed, parts), outcome.printed);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(control)

BOOST_AUTO_TEST_CASE(status_shows_the_server_its_listeners_and_its_workers) {
    Daemon server;
    server.start();
    Client client(server.address());
    BOOST_TEST(client.ask("hello") == "hello");
    const std::string pid = std::to_string(server.pid());
    check_says(preforkctl(server, {"status"}), 0,
               {"running, pid " + pid, "generation 1", "last start: ok", "LISTENER", "\necho ",
                server.address(), "WORKER", "\nmain/0 ", "\nmain/1 ", "worker exits: none"});
    check_says(preforkctl(server, {"status", "--json"}), 0,
               {"{\"program\":", "\"pid\":" + pid, "\"name\":\"echo\"", "\"active\":1"});
    check_says(preforkctl(server, {"metrics"}), 0,
               {"preforkd_connections_active{listener=\"echo\"} 1\n", "preforkd_ready 1\n"});
    const Outcome quiet = preforkctl(server, {"status", "--quiet"});
    BOOST_TEST(quiet.exit == exited(0));
    BOOST_TEST(quiet.printed == "");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_killed_worker_is_counted_and_its_numbers_stay, *precondition(needs_root)) {
    Daemon server({.keys = "workers = 1\n"});
    server.start();
    {
        Client client(server.address());
        BOOST_TEST(client.ask("hello") == "hello");
    }
    Process(server.worker("main/0")).send(SIGKILL);
    server.wait_for_line({"worker exited"});
    server.wait_for_line({"worker ready"});
    check_says(preforkctl(server, {"metrics"}), 0,
               {"preforkd_connections_accepted_total{listener=\"echo\"} 1\n",
                "preforkd_connections_active{listener=\"echo\"} 0\n"});
    const Outcome status = preforkctl(server, {"status"});
    BOOST_TEST(status.printed.find("worker exits: 1 ") != std::string::npos, status.printed);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_reload_returns_when_the_new_generation_serves) {
    Daemon server;
    server.start();
    check_says(preforkctl(server, {"reload", "--wait"}), 0, {"reload ok: generation 2 serves\n"});
    check_says(preforkctl(server, {"status"}), 0, {"generation 2", "last reload: ok"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_refused_reload_fails_with_file_and_line) {
    Daemon server;
    server.start();
    server.configure("drain_timout = 3s\n", listener("echo"));
    check_says(preforkctl(server, {"reload", "--wait"}), 1,
               {"preforkctl: reload refused: ", "test.conf:", "unknown key 'drain_timout'",
                "\n    generation 1 keeps serving, nothing changed\n"});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(many_who_wait_for_a_reload_all_hear_of_it) {
    Daemon server;
    server.start();
    std::vector<Execution> waiting;
    for (int i = 0; i < 5; ++i)
        waiting.push_back(execute(preforkctl_command(server.lock_file(), {"reload", "--wait"})));
    for (Execution& one : waiting)
        check_says(finish(std::move(one)), 0, {"reload ok: generation "});
    server.stop();
}

BOOST_AUTO_TEST_CASE(status_says_what_keeps_a_draining_worker) {
    Daemon server({.keys = "workers = 1\ndrain_timeout = 60s\n"});
    server.start();
    Client client(server.address());
    BOOST_TEST(client.ask("hello") == "hello");
    check_says(preforkctl(server, {"reload", "--wait"}), 0, {"reload ok"});
    check_says(preforkctl(server, {"status"}), 0,
               {"draining", "1 connection left, closed in ", "\nmain/0 "});
    client.shutdown_write();
    BOOST_TEST(client.receive_rest() == "");
    server.stop();
}

BOOST_AUTO_TEST_CASE(stop_returns_when_the_server_has_ended) {
    for (const bool fast : {false, true}) {
        Daemon server;
        server.launch();
        const std::string pid = std::to_string(server.pid());
        check_says(fast ? preforkctl(server, {"stop", "--fast"}) : preforkctl(server, {"stop"}), 0,
                   {"pid " + pid + " has stopped\n"});
        BOOST_TEST(server.outcome().exit == exited(0));
        server.check_nothing_left();
    }
}

BOOST_AUTO_TEST_CASE(workers_come_and_go_and_logs_are_reopened) {
    Daemon server({.keys = "workers = 1\n"});
    server.start();
    check_says(preforkctl(server, {"workers", "+1"}), 0, {"was told"});
    server.wait_for_line({"worker ready", "slot=main/1"});
    check_says(preforkctl(server, {"workers", "-1"}), 0, {"was told"});
    server.wait_for_line({"worker exited", "slot=main/1"});
    check_says(preforkctl(server, {"reopen"}), 0, {"was told"});
    server.wait_for_line({"logs reopened"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_upgrade_is_waited_for_and_shown) {
    UpgradableDaemon server;
    server.start();
    server.install({.version = "2.0"});
    check_says(preforkctl(server, {"upgrade", "--wait"}), 0, {"upgrade ok: generation 2 serves"});
    check_says(preforkctl(server, {"status"}), 0, {" 2.0 ", "last upgrade: ok"});
    server.install({.version = "3.0", .when_proving = "exit 3"});
    check_says(
        preforkctl(server, {"upgrade", "--wait"}), 1,
        {"upgrade refused: ", "exit status 3", "generation 2 keeps serving, nothing changed"});
    check_says(preforkctl(server, {"status"}), 0, {" 2.0 ", "last upgrade: refused"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_upgrade_whose_workers_cannot_start_is_told_as_what_it_is) {
    Gate gate;
    UpgradableDaemon server(UpgradableDaemon::with_keys("workers = 1\n"));
    server.start();
    server.configure(listener("echo", "probe", "gate = " + gate.name() + "\n"));
    server.install({.version = "2.0"});
    Execution waiting = execute(preforkctl_command(server.lock_file(), {"upgrade", "--wait"}));
    gate.next().fail("the moon is full");
    check_says(finish(std::move(waiting)), 1,
               {"upgraded: 1.0 to 2.0", "the moon is full",
                "generation 1 keeps serving, under the new program"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(nobody_there_is_told_as_lsb_has_it) {
    const TempFolder folder;
    const std::string lock = folder / "lock";
    check_says(
        run_preforkctl(lock, {"status"}), 3,
        {"preforkctl: not running: there is no lock file '" + lock, "\n    root's server has"});
    check_says(run_preforkctl(lock, {"reload"}), 7, {"not running"});
    std::ofstream(lock) << "1\n";
    check_says(run_preforkctl(lock, {"status"}), 1, {"nobody holds the lock file", "a crash left"});
    check_says(run_preforkctl(folder.path(), {"status"}), 4,
               {"is no lock file", "-p FOLDER/PROGRAM.pid"});
    check_says(run_preforkctl(folder.path(), {"reload"}), 2, {"is no lock file"});
    check_says(run_preforkctl(lock, {"stop"}), 7, {"not running"});
    const Outcome quiet = run_preforkctl(lock, {"status", "--quiet"});
    BOOST_TEST(quiet.exit == exited(1));
    BOOST_TEST(quiet.printed == "");
}

BOOST_AUTO_TEST_CASE(a_holder_without_a_readable_scoreboard_is_another_version) {
    const TempFolder folder;
    const std::string lock = folder / "lock";
    std::ofstream(lock) << ::getpid() << "\n";
    const preforkd::UniqueFd held(::open(lock.c_str(), O_RDWR | O_CLOEXEC));
    BOOST_REQUIRE(::flock(held.get(), LOCK_EX | LOCK_NB) == 0);
    const std::string pid = "pid " + std::to_string(::getpid());
    check_says(run_preforkctl(lock, {"reload"}), 1,
               {pid + " holds the lock, but this preforkctl", "it is another version"});
    check_says(run_preforkctl(lock, {"status"}), 4, {pid + " holds the lock, but this preforkctl"});
}

BOOST_AUTO_TEST_CASE(a_scoreboard_of_another_version_is_named_as_such) {
    const TempFolder folder;
    const std::string lock = folder / "lock";
    std::ofstream(lock) << ::getpid() << "\n";
    const preforkd::UniqueFd held(::open(lock.c_str(), O_RDWR | O_CLOEXEC));
    BOOST_REQUIRE(::flock(held.get(), LOCK_EX | LOCK_NB) == 0);
    const preforkd::UniqueFd memory(::memfd_create(preforkd::master_page_name, MFD_CLOEXEC));
    const std::uint32_t version = preforkd::scoreboard_version + 1;
    BOOST_REQUIRE(::ftruncate(memory.get(), sizeof(preforkd::MasterPage)) == 0);
    BOOST_REQUIRE(::pwrite(memory.get(), &version, sizeof version, 0) == sizeof version);
    const std::string named = "its scoreboard is of version " + std::to_string(version);
    const std::string pid = std::to_string(::getpid());
    for (const std::vector<std::string>& order : std::vector<std::vector<std::string>>{
             {"reload", "--wait"}, {"stop"}, {"metrics"}, {"workers", "+1"}})
        check_says(run_preforkctl(lock, order), 1,
                   {"pid " + pid + " is another version", named, "\n    use the preforkctl that",
                    "kill -TERM " + pid});
    check_says(run_preforkctl(lock, {"status"}), 4, {named});
    BOOST_TEST(run_preforkctl(lock, {"status", "--quiet"}).exit == exited(4));
}

BOOST_AUTO_TEST_CASE(another_users_server_is_not_ours_to_control, *precondition(needs_root)) {
    Daemon server;
    server.start();
    BOOST_REQUIRE(::chmod(server.folder().path().c_str(), 0755) == 0);
    const auto as_nobody = [] {
        if (::setgid(65534) < 0 || ::setuid(65534) < 0) ::_exit(96);
    };
    check_says(run_preforkctl(server.lock_file(), {"stop"}, as_nobody), 4,
               {"run preforkctl as root"});
    check_says(run_preforkctl(server.lock_file(), {"status"}, as_nobody), 4,
               {"run preforkctl as root"});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_is_not_understood_is_refused_before_anything_is_done) {
    check_says(run_preforkctl("/nonexistent", {"relaod"}), 2,
               {"unknown command 'relaod'; did you mean 'reload'?"});
    check_says(run_preforkctl("/nonexistent", {}), 2, {"no command"});
    check_says(run_preforkctl("/nonexistent", {"-h"}), 0, {"Usage:", "reload [--wait]"});
    check_says(run_preforkctl("/nonexistent", {"-V"}), 0, {"preforkctl "});
}

BOOST_AUTO_TEST_SUITE_END()
