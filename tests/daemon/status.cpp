#include <boost/property_tree/json_parser.hpp>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <sstream>

#include "client.hpp"
#include "daemon.hpp"

// The status service of a real server: any worker answers for all of them.

using namespace preforkd::testing;
using boost::property_tree::ptree;

namespace {

struct Answer {
    std::string head, content;
    [[nodiscard]] std::string status() const { return head.substr(9, 3); }
    [[nodiscard]] std::string summary() const { return status() + " " + content; }
};

/// A client that asks the same worker again and again.
class Asker {
  public:
    explicit Asker(const std::string& address) : client_(address) {}

    Answer get(const std::string& path) {
        client_.send("GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n");
        const std::string length = "Content-Length: ";
        Answer answer;
        std::size_t size = 0;
        for (std::string line; (line = client_.receive_line()) != "\r"; answer.head += line + "\n")
            if (line.starts_with(length)) size = std::stoul(line.substr(length.size()));
        answer.content = client_.receive(size);
        return answer;
    }

    ptree status() {
        std::istringstream text(get("/status.json").content);
        ptree tree;
        boost::property_tree::read_json(text, tree);
        return tree;
    }

  private:
    Client client_;
};

/// The member of an array whose `key` is `value`; the last of several, which is the youngest.
ptree find(const ptree& tree, const std::string& array, const std::string& key,
           const std::string& value) {
    const ptree& members = tree.get_child(array);
    for (auto each = members.rbegin(); each != members.rend(); ++each)
        if (each->second.get<std::string>(key) == value) return each->second;
    BOOST_FAIL("no " << value << " in " << array);
    return {};
}

std::uint64_t active(const ptree& status, const std::string& slot) {
    return find(status, "workers", "slot", slot).get<std::uint64_t>("active");
}

ptree last_verdict(const ptree& status) {
    return status.get_child("verdicts").front().second;
}

/// Clients of both workers that serve the status, in a pool that they have alone.
struct OfEachWorker {
    std::vector<Asker> askers;

    explicit OfEachWorker(Daemon& server) {
        const std::string address = server.address("status");
        // At random; that one of two gets none of so many won't happen.
        for (int i = 0; i < 64; ++i) {
            askers.emplace_back(address);
            const ptree seen = askers.back().status();
            if (active(seen, "status/0") > 0 && active(seen, "status/1") > 0) return;
        }
        BOOST_FAIL("one worker gets all clients");
    }
    /// A worker that ends waits a while for its clients to close.
    void leave() { askers.clear(); }
};

Setup two_of_each(const std::string& keys = "keepalive_grace = 0s\n") {
    return {.keys = "workers = 2\n" + keys,
            .sections = listener("echo") + listener("status", "status", "workers = 2\n")};
}

void check_live_but_not_ready(Asker& asker) {
    BOOST_TEST(asker.get("/live").summary() == "200 live\n");
    BOOST_TEST(asker.get("/ready").summary() == "503 not ready\n");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(status)

BOOST_AUTO_TEST_CASE(each_worker_shows_what_all_of_them_did) {
    Daemon server(two_of_each());
    server.start();
    Client echo(server.address());
    BOOST_TEST(echo.ask("hello") == "hello");
    OfEachWorker each(server);
    const std::size_t clients = each.askers.size();
    for (Asker& asker : each.askers) {
        const ptree status = asker.status();
        BOOST_TEST(status.get<pid_t>("pid") == server.pid());
        BOOST_TEST(status.get<bool>("ready"));
        BOOST_TEST(status.get_child("workers").size() == 4U);
        for (const std::string slot : {"main/0", "main/1", "status/0", "status/1"})
            BOOST_TEST(find(status, "workers", "slot", slot).get<pid_t>("pid") ==
                       server.worker(slot));
        BOOST_TEST(active(status, "main/0") + active(status, "main/1") == 1U);
        BOOST_TEST(active(status, "status/0") >= 1U);
        BOOST_TEST(active(status, "status/1") >= 1U);
        BOOST_TEST(holds_all(asker.get("/metrics").content,
                             {"preforkd_connections_active{listener=\"echo\"} 1\n",
                              "preforkd_connections_active{listener=\"status\"} " +
                                  std::to_string(clients) + "\n"}));
        const Answer page = asker.get("/");
        BOOST_TEST(page.status() == "200");
        BOOST_TEST(holds_all(page.content, {"main/0", "main/1", "status/0", "status/1"}));
        BOOST_TEST(asker.get("/live").summary() == "200 live\n");
        BOOST_TEST(asker.get("/ready").summary() == "200 ready\n");
    }
    each.leave();
    server.stop();
}

BOOST_AUTO_TEST_CASE(each_worker_shows_a_killed_one_and_a_reload) {
    Daemon server(two_of_each());
    server.start();
    {
        Client echo(server.address());
        BOOST_TEST(echo.ask("hello") == "hello");
    }
    OfEachWorker before(server);
    const pid_t victim = server.worker("main/0");
    server.mark();
    Process(victim).send(SIGKILL);
    server.wait_for_line({"worker ready", "slot=main/0"});
    for (Asker& asker : before.askers) {
        const ptree status = asker.status();
        BOOST_TEST(status.get<int>("exits.crashed") == 1);
        BOOST_TEST(find(status, "workers", "slot", "main/0").get<pid_t>("pid") != victim);
        BOOST_TEST(find(status, "listeners", "name", "echo").get<int>("accepted") == 1);
    }
    before.leave();

    server.send(SIGHUP);
    server.wait_for_note({"READY=1", "X_PREFORKD_GENERATION=2"});
    OfEachWorker after(server);
    for (Asker& asker : after.askers) {
        const ptree status = asker.status();
        BOOST_TEST(status.get<int>("generation") == 2);
        const ptree verdict = last_verdict(status);
        BOOST_TEST(verdict.get<std::string>("kind") == "reload");
        BOOST_TEST(verdict.get<bool>("accepted"));
        BOOST_TEST(find(status, "listeners", "name", "echo").get<int>("accepted") == 1);
    }
    after.leave();
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_refused_reload_is_shown_and_leaves_it_ready) {
    Daemon server(two_of_each());
    server.start();
    OfEachWorker each(server);
    server.configure("drain_timout = 3s\n", listener("echo"));
    server.send(SIGHUP);
    server.wait_for_line({"reload refused"});
    server.wait_for_note({"READY=1"});
    for (Asker& asker : each.askers) {
        const ptree verdict = last_verdict(asker.status());
        BOOST_TEST(!verdict.get<bool>("accepted"));
        BOOST_TEST(holds_all(verdict.get<std::string>("text"), {"test.conf:", "drain_timout"}));
        BOOST_TEST(asker.get("/ready").summary() == "200 ready\n");
    }
    each.leave();
    server.stop();
}

BOOST_AUTO_TEST_CASE(it_is_not_ready_from_the_first_moment_of_a_stop_to_the_last) {
    Daemon server(two_of_each("shutdown_delay = 1h\nkeepalive_grace = 60s\n"));
    server.start();
    OfEachWorker each(server);
    for (Asker& asker : each.askers) BOOST_TEST(asker.get("/ready").summary() == "200 ready\n");

    server.send(SIGTERM);
    server.wait_for_note({"STOPPING=1"});
    for (Asker& asker : each.askers) check_live_but_not_ready(asker);
    // Whoever routes clients may well ask on a new connection.
    each.askers.emplace_back(server.address("status"));
    check_live_but_not_ready(each.askers.back());
    BOOST_TEST(each.askers.back().status().get<std::string>("state") == "stopping");

    server.send(SIGTERM);
    for (const std::string slot : {"status/0", "status/1"})
        server.wait_for_line({"worker drains", "slot=" + slot});
    for (Asker& asker : each.askers) BOOST_TEST(asker.get("/ready").status() == "503");
    each.leave();
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_SUITE_END()
