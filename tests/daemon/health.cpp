#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>

#include "client.hpp"
#include "daemon.hpp"
#include "shared/scoreboard_reader.hpp"

// What the master knows of its workers' health, and what it does about it; what the scoreboard
// tells.

using namespace preforkd;
using namespace preforkd::testing;

namespace {

Setup probe(const std::string& keys) {
    return {.keys = keys, .sections = listener("echo", "probe"), .probe = true};
}

std::string worker_is(pid_t pid) {
    return "worker=" + std::to_string(pid);
}

/// A descriptor of the server that is open on anonymous memory of that name.
UniqueFd open_memory_of(pid_t pid, const std::string& name) {
    const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (std::filesystem::read_symlink(entry.path()) == "/memfd:" + name + " (deleted)")
            return UniqueFd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    BOOST_FAIL("the server has no memory named " + name);
    return {};
}

/// The scoreboard as a program outside reads it.
ScoreboardReader scoreboard_of(pid_t pid) {
    const auto find_page = [pid](const WorkerEntry& worker) {
        const std::string path =
            "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(worker.descriptor);
        return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    };
    return ScoreboardReader::open(open_memory_of(pid, master_page_name), find_page).value();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(health)

BOOST_AUTO_TEST_CASE(a_crash_names_the_request_that_the_worker_was_on) {
    Daemon server(probe("workers = 1\n"));
    server.start();
    server.mark();
    Client client(server.address());
    client.send("die 11\n");
    const std::string line = server.wait_for_line({"request in flight"});
    BOOST_TEST(holds_all(line, {"slot=main/0", "127.", "die 11%0a"}), line);
    server.wait_for_line({"worker ready"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(an_answered_request_is_not_in_flight) {
    Daemon server(probe("workers = 1\n"));
    server.start();
    Client idle(server.address());
    BOOST_TEST(idle.ask("finished") == "finished");
    Client(server.address()).send("die 11\n");
    server.wait_for_line({"request in flight", "die 11"});
    server.wait_for_line({"worker ready"});
    BOOST_TEST(server.count_lines({"request in flight", "finished"}) == 0U);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_whose_loop_stands_still_is_aborted_and_replaced) {
    Daemon server(probe("workers = 1\nhang_timeout = 3s\n"));
    server.start();
    const pid_t before = server.worker("main/0");
    server.mark();
    Client client(server.address());
    client.send("spin\n");
    server.wait_for_line({"worker hangs", worker_is(before), "no turn for 2s"});
    const std::string where = server.wait_for_line({"where it hangs"});
    BOOST_TEST(holds_all(where, {worker_is(before), "wchan=", "syscall="}), where);
    server.wait_for_line({"request in flight", "spin"});
    BOOST_TEST(holds_all(server.wait_for_line({"worker exited"}), {worker_is(before), "signal 6"}));
    server.wait_for_line({"worker ready"});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_stopped_worker_is_known_at_once_and_may_recover) {
    Daemon server(probe("workers = 2\nhang_timeout = 1h\n"));
    server.start();
    const Process stopped(server.worker("main/0"));
    server.mark();
    stopped.send(SIGSTOP);
    server.wait_for_line({"worker hangs", worker_is(stopped.pid()), "stopped by a signal"});
    stopped.send(SIGCONT);
    server.wait_for_line({"worker has recovered", worker_is(stopped.pid())});
    BOOST_TEST(server.worker("main/0") == stopped.pid());
    server.stop();
}

BOOST_AUTO_TEST_CASE(new_clients_go_to_others_while_a_worker_hangs_and_to_it_again_after) {
    Daemon server(probe("workers = 2\nhang_timeout = 1h\n"));
    server.start();
    const Process stopped(server.worker("main/0"));
    const std::string other = std::to_string(server.worker("main/1"));
    server.mark();
    stopped.send(SIGSTOP);
    server.wait_for_line({"worker hangs", worker_is(stopped.pid())});
    for (int i = 0; i < 40; ++i) BOOST_TEST(Client(server.address()).ask("pid") == other);
    stopped.send(SIGCONT);
    server.wait_for_line({"worker has recovered", worker_is(stopped.pid())});
    const std::string its_own = std::to_string(stopped.pid());
    bool has_its_share = false;
    for (int i = 0; i < 100 && !has_its_share; ++i)
        has_its_share = Client(server.address()).ask("pid") == its_own;
    BOOST_TEST(has_its_share);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_stopped_worker_that_stays_so_is_killed) {
    Daemon server(probe("workers = 1\nhang_timeout = 3s\n"));
    server.start();
    const Process stopped(server.worker("main/0"));
    server.mark();
    stopped.send(SIGSTOP);
    BOOST_TEST(
        holds_all(server.wait_for_line({"worker exited"}), {worker_is(stopped.pid()), "signal 9"}));
    server.wait_for_line({"worker ready"});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_has_served_its_requests_drains_when_its_successor_is_ready) {
    Daemon server(probe("workers = 1\nmax_requests = 10\n"));
    server.start();
    const pid_t before = server.worker("main/0");
    server.mark();
    Client client(server.address());
    for (int i = 0; i < 10; ++i) BOOST_TEST(client.ask("count") == "ok");
    server.wait_for_line({"worker is to be replaced", worker_is(before), "requests"});
    server.wait_for_line({"worker ready"});
    server.wait_for_line({"worker drains", worker_is(before)});
    BOOST_TEST(
        holds_all(server.wait_for_line({"worker exited"}), {worker_is(before), "exit status 0"}));
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_has_grown_is_replaced) {
    Daemon server(probe("workers = 1\nmax_rss = 1m\n"));  // none is so small
    server.start();
    const pid_t before = server.worker("main/0");
    server.mark();
    Client client(server.address());  // a worker without clients is not woken to look at itself
    BOOST_TEST(client.ask("hello") == "hello");
    server.wait_for_line({"worker is to be replaced", worker_is(before), "bytes resident"});
    server.wait_for_line({"worker drains", worker_is(before)});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_whose_lifetime_is_over_is_replaced_without_any_client) {
    Daemon server(probe("workers = 1\nmax_lifetime = 1s\n"));
    server.start();
    const pid_t before = server.worker("main/0");
    server.wait_for_line({"worker is to be replaced", worker_is(before), "lifetime"});
    server.wait_for_line({"worker exited", worker_is(before), "exit status 0"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(totals_outlive_the_workers_that_counted_them) {
    Daemon server(probe("workers = 2\n"));
    server.start();
    ScoreboardReader scoreboard = scoreboard_of(server.pid());
    const auto accepted = [&] { return scoreboard.read().value().listeners.at(0).totals.accepted; };
    for (int i = 0; i < 10; ++i) BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    BOOST_TEST(accepted() == 10U);
    server.mark();
    for (const pid_t worker : server.workers()) Process(worker).send(SIGKILL);
    server.wait_for_line({"worker ready", "slot=main/0"});
    server.wait_for_line({"worker ready", "slot=main/1"});
    BOOST_TEST(accepted() == 10U);
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    Client(server.address()).ask("hello");
    BOOST_TEST(accepted() == 11U);
    const Snapshot snapshot = scoreboard.read().value();
    BOOST_TEST(snapshot.front.generation == 2U);
    BOOST_TEST(snapshot.front.exits[static_cast<std::size_t>(ExitKind::crashed)] == 2U);
    const Verdict& verdict =
        snapshot.front.verdicts[snapshot.front.last_verdict % snapshot.front.verdicts.size()];
    BOOST_TEST(verdict.text.view() == "reload ok");
    BOOST_TEST(verdict.orders == 1U);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_refused_reload_is_a_verdict_with_its_reason) {
    Daemon server(probe("workers = 1\n"));
    server.start();
    ScoreboardReader scoreboard = scoreboard_of(server.pid());
    server.configure("nonsense = 1\n", listener("echo", "probe"));
    server.send(SIGHUP);
    server.wait_for_line({"reload refused"});
    server.wait_for("the verdict", [&] {
        const auto front = scoreboard.read().value().front;
        const Verdict& verdict = front.verdicts[front.last_verdict % front.verdicts.size()];
        return verdict.accepted == 0 && holds_all(std::string(verdict.text.view()),
                                                  {"test.conf:", "unknown key 'nonsense'"});
    });
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
