#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include <boost/test/unit_test.hpp>

#include "attacks.hpp"
#include "client.hpp"
#include "daemon.hpp"
#include "needs_refusal.hpp"
#include "needs_root.hpp"
#include "needs_sandbox.hpp"
#include "victim.hpp"

// What code in a worker can do once an attacker runs it: nothing to anybody else.

using namespace preforkd::testing;
using boost::unit_test::precondition;

BOOST_AUTO_TEST_SUITE(sandbox, *precondition(needs_sandbox))

BOOST_AUTO_TEST_CASE(no_attack_from_inside_a_worker_succeeds) {
    Victim victim;
    for (const Attack& attack : attacks()) victim.check(attack, "echo");
    victim.server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_serves_files_opens_none_outside_its_folder) {
    Victim victim;
    BOOST_TEST(Client(victim.server.address("files")).ask("read hello.txt") == "hello");
    for (const Attack& attack : attacks_on_files()) victim.check(attack, "files");
    BOOST_TEST(Client(victim.server.address("files")).ask("read hello.txt") == "hello");
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(victim.root))
        names.insert(entry.path().filename());
    BOOST_TEST((names == std::set<std::string>{"hello.txt"}));
    victim.server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_serves_files_opens_no_configuration) {
    Victim victim;
    const std::string config = victim.server.config_file();
    std::filesystem::permissions(victim.server.folder().path(), std::filesystem::perms(0755));
    std::filesystem::permissions(config, std::filesystem::perms(0644));
    BOOST_TEST(Client(victim.server.address("files")).ask("open " + config) == "EACCES");
    victim.server.stop();
}

BOOST_AUTO_TEST_CASE(whatever_a_worker_sends_its_master_harms_only_itself) {
    Victim victim;
    for (const std::string& abuse : channel_abuses()) {
        Client client(victim.server.address("echo"));
        const std::string worker = client.ask("pid");
        victim.server.mark();
        client.send("abuse " + abuse + "\n");
        victim.server.wait_for_line({"worker exited", "worker=" + worker, "signal 9 (Killed)"});
        const bool gives_up = abuse.find("failed") != std::string::npos;  // and then lives on
        const std::string told = gives_up ? "worker has failed" : "and is killed";
        BOOST_TEST(victim.server.count_lines({told, "worker=" + worker}) == 1u, abuse);
        victim.server.wait_for_line({"worker ready", "slot=echo/"});
        BOOST_TEST(Client(victim.server.address("echo")).ask("hello") == "hello", abuse);
    }
    victim.server.stop();
}

// The descriptor's message lay in the channel, and when the master dropped it or closed the channel
// its close() waited for a client that didn't read: no signal was heeded for ten minutes. A
// sandboxed worker can't pass one; nor can the others where the kernel helps.
BOOST_AUTO_TEST_CASE(a_master_takes_no_lingering_socket_even_without_a_sandbox,
                     *precondition(needs_refusal)) {
    Victim victim("sandbox = off\n");
    Client client(victim.server.address("echo"));
    client.send("attack pass_lingering_socket 0\n");
    while (client.receive_line().find("EPERM") == std::string::npos) continue;
    victim.server.send(SIGHUP);
    victim.server.wait_for_line({"reload ok"});
    victim.server.stop();
}

BOOST_AUTO_TEST_CASE(a_forbidden_call_is_told_with_its_slot_and_how_to_find_it) {
    Victim victim;
    Client client(victim.server.address("echo"));
    const std::string worker = client.ask("pid");
    victim.server.mark();
    client.send("attack socket 0\n");
    const std::string line = victim.server.wait_for_line({"killed by seccomp"});
    BOOST_TEST(holds_all(line, {" error ", "slot=echo/", "worker=" + worker, "type=1326",
                                "pid=" + worker, "strace -f"}),
               line);
    victim.server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_holds_its_own_descriptors_and_no_others, *precondition(needs_root)) {
    Victim victim;
    const pid_t worker = victim.server.worker("files/0");
    std::multiset<std::string> kinds;
    for (const auto& [number, target] : descriptors_of(worker))
        kinds.insert(target.substr(0, target.find(':')));
    BOOST_TEST(kinds.count("/dev/null") == 1u);                // 0
    BOOST_TEST(kinds.count("socket") == 2u);                   // channel and listening socket
    BOOST_TEST(kinds.count(victim.root) == 2u);                // the master's and the service's own
    BOOST_TEST(kinds.count(victim.server.error_log()) == 2u);  // 1 and 2
    // epoll, eventfd, signalfd, Asio's timerfd and the dead man's switch; how much memory it has.
    BOOST_TEST(kinds.count("anon_inode") == 5u);
    BOOST_TEST(kinds.count("/proc/" + std::to_string(worker) + "/statm") == 1u);
    BOOST_TEST(kinds.size() == 13u);
    victim.server.stop();
}

BOOST_AUTO_TEST_CASE(every_worker_is_filtered_for_good, *precondition(needs_root)) {
    Daemon server;
    server.start();
    for (const pid_t worker : server.workers()) {
        BOOST_TEST(status_of(worker)["Seccomp"] == "2");
        BOOST_TEST(status_of(worker)["NoNewPrivs"] == "1");
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_any_service_may_do_is_open_to_it) {
    Victim victim("output_log = off\n");  // a character device, of which the C library asks more
    Client client(victim.server.address("echo"));
    BOOST_TEST(client.ask("local") == victim.server.address("echo"));
    BOOST_TEST(client.ask("greet world") == "ok");
    victim.server.stop();
}

BOOST_AUTO_TEST_CASE(a_sandbox_that_is_off_is_warned_about) {
    Victim victim("sandbox = off\n");
    victim.server.inbox().gather();
    BOOST_TEST(victim.server.inbox().whole_log().find(
                   "warning " + std::to_string(victim.server.pid()) + " sandbox is off") !=
               std::string::npos);
    BOOST_TEST(victim.suffer({"open_passwd", nullptr}, "echo") == "done");
    victim.server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
