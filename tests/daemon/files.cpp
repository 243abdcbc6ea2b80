#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client.hpp"
#include "daemon.hpp"
#include "file_events.hpp"
#include "needs_root.hpp"
#include "site.hpp"

// Files over HTTP from a real daemon: what the master opens for its workers, and the access log.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

std::string web(const std::string& root) {
    return listener("web", "http", "root = " + root + "\n");
}

/// A site with one file, within a folder that only its owner can enter.
struct ClosedSite : Site {
    ClosedSite() {
        write("hello.txt", "hello, world\n");
        BOOST_REQUIRE(::chmod(closed.path().c_str(), 0700) == 0);
    }
    const TempFolder& closed = folder;
};

/// The head of the answer, up to its empty line.
std::string receive_head(Client& client) {
    std::string head;
    for (std::string line; (line = client.receive_line()) != "\r";) head += line + "\n";
    return head;
}

std::string content_of(const std::string& path) {
    std::ostringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(files)

BOOST_AUTO_TEST_CASE(a_folder_is_served_that_workers_could_not_reach_themselves,
                     *precondition(needs_root)) {
    const ClosedSite site;
    Daemon server({.sections = web(site.root)});
    server.launch();
    const std::string answer = fetch(server.address("web"), "/hello.txt");
    BOOST_TEST(answer.starts_with("HTTP/1.1 200 "), answer);
    BOOST_TEST(answer.ends_with("\r\n\r\nhello, world\n"), answer);
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_lies_outside_the_folder_is_not_served) {
    const ClosedSite site;
    { std::ofstream(site.closed / "secret.txt") << "treasure"; }
    std::filesystem::create_symlink("../secret.txt", site.root + "/link.txt");
    Daemon server({.sections = web(site.root)});
    server.launch();
    for (const char* const path : {"/link.txt", "/../secret.txt", "/%2e%2e/secret.txt"})
        BOOST_TEST(fetch(server.address("web"), path).find("treasure") == std::string::npos, path);
    BOOST_TEST(fetch(server.address("web"), "/hello.txt").starts_with("HTTP/1.1 200 "));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_missing_folder_is_told_with_its_line) {
    for (const bool only_checked : {true, false}) {
        Daemon server({.sections = web("/nonexistent/site")});
        Outcome outcome;
        if (only_checked) {
            outcome = run_preforkd({"-t", "-c", server.config_file()});
        } else {
            server.begin_launch();
            outcome = server.outcome();
        }
        BOOST_TEST(outcome.exit == exited(6));
        BOOST_TEST(holds_all(outcome.printed,
                             {"test.conf:8: listen.web: ", "'/nonexistent/site'", "No such file"}),
                   outcome.printed);
        server.check_nothing_left();
    }
}

BOOST_AUTO_TEST_CASE(an_idle_client_is_served_once_more_by_a_draining_worker) {
    const ClosedSite site;
    Daemon server({.keys = "workers = 1\nkeepalive_grace = 60s\n", .sections = web(site.root)});
    server.start();
    Client client(server.address("web"));
    client.send(request("/hello.txt", "keep-alive"));
    BOOST_TEST(receive_head(client).find("close") == std::string::npos);
    BOOST_TEST(client.receive(13) == "hello, world\n");
    server.send(SIGHUP);
    server.wait_for_line({"worker ready", "generation=2"});
    server.wait_for_line({"worker drains", "generation=1"});
    // Until it has heard of the drain it answers as ever; then it says which answer is the last.
    for (std::string head; head.find("Connection: close") == std::string::npos;) {
        client.send(request("/hello.txt", "keep-alive"));
        head = receive_head(client);
        BOOST_TEST(head.starts_with("HTTP/1.1 200 "), head);
        BOOST_TEST(client.receive(13) == "hello, world\n");
    }
    BOOST_TEST(client.receive_rest() == "");
    server.stop();
}

BOOST_AUTO_TEST_CASE(requests_are_logged_and_after_usr1_elsewhere) {
    const ClosedSite site;
    const std::string log = site.closed / "access.log";
    FileEvents events(site.closed.path());
    Daemon server({.keys = "workers = 1\naccess_log = " + log + "\n", .sections = web(site.root)});
    server.start();
    (void)fetch(server.address("web"), "/hello.txt");
    BOOST_REQUIRE(events.wait_until([&] { return content_of(log).ends_with('\n'); }));
    BOOST_TEST(
        holds_all(content_of(log), {"127.0.0.1 - - [", "\"GET /hello.txt HTTP/1.1\" 200 13"}),
        content_of(log));
    std::filesystem::rename(log, log + ".1");
    events.forget();
    server.send(SIGUSR1);
    BOOST_REQUIRE(events.wait_for_close("access.log.1"));
    (void)fetch(server.address("web"), "/later.txt");
    BOOST_REQUIRE(events.wait_until([&] { return content_of(log).ends_with('\n'); }));
    BOOST_TEST(holds_all(content_of(log), {"/later.txt", "404"}), content_of(log));
    BOOST_TEST(content_of(log + ".1").find("later") == std::string::npos);
    server.stop();
}

BOOST_AUTO_TEST_CASE(requests_are_logged_as_json_objects_if_wanted) {
    const ClosedSite site;
    const std::string log = site.closed / "access.log";
    Daemon server({.keys = "workers = 1\nlog_format = json\naccess_log = " + log + "\n",
                   .sections = web(site.root)});
    server.start();
    const std::string address = server.address("web");
    (void)fetch(address, "/hello.txt");
    BOOST_TEST(Client(address).ask("G\"T / HTTP/1.1").starts_with("HTTP/1.1 400 "));
    server.stop();
    const std::string lines = content_of(log);
    BOOST_TEST(std::count(lines.begin(), lines.end(), '\n') == 2, lines);
    BOOST_TEST(
        holds_all(lines, {"{\"time\":\"20", "\"listener\":\"web\"", "\"target\":\"/hello.txt\"",
                          "\"status\":200,\"bytes\":13", "\"host\":\"test\"", "\"status\":400"}),
        lines);
}

BOOST_AUTO_TEST_CASE(what_is_not_yet_written_is_logged_before_a_worker_ends) {
    const ClosedSite site;
    const std::string log = site.closed / "access.log";
    Daemon server({.keys = "workers = 2\naccess_log = " + log + "\n", .sections = web(site.root)});
    server.start();
    for (int i = 0; i < 20; ++i) (void)fetch(server.address("web"), "/hello.txt");
    server.stop();
    const std::string lines = content_of(log);
    BOOST_TEST(std::count(lines.begin(), lines.end(), '\n') == 20);
}

BOOST_AUTO_TEST_SUITE_END()
