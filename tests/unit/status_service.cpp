#include "worker/services/status.hpp"

#include <boost/test/unit_test.hpp>

#include "shared/mapping.hpp"
#include "shared/scoreboard_reader.hpp"
#include "tests/unit/http_fixture.hpp"
#include "tests/unit/snapshot_fixture.hpp"
#include "worker/services/status_page.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

bool holds(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// The service in this process, with a master's page that the test writes.
struct StatusFixture {
    UniqueFd memory = fixed_memory("master", sizeof(MasterPage)).value();
    Mapping mapping = Mapping::writable(memory).value();
    ScoreboardReader reader = make_reader();
    worker::StatusService service;
    EngineFixture server{[this](Connection& client) { return service.serve(client); }};
    ServiceContext context{"status", {}, {}, server.log.logger, nullptr, &reader};

    StatusFixture() { service.start(context); }

    MasterPage& page() { return *mapping.as<MasterPage>(); }

    ScoreboardReader make_reader() {
        page().version = scoreboard_version;
        page().size = sizeof(MasterPage);
        page().front = sample_snapshot().front;
        page().front.listeners = 1;
        page().listeners[0] = sample_snapshot().listeners[0];
        return ScoreboardReader::open(memory, {}).value();
    }

    std::string exchange(const std::string& bytes) {
        Peer peer = server.connect();
        BOOST_REQUIRE(peer.send(bytes) == bytes.size());
        std::string answer;
        for (;;) {
            server.settle();
            const std::string more = peer.receive();
            if (more.empty()) return answer;
            answer += more;
        }
    }

    std::string get(const std::string& path) { return exchange(HttpFixture::get(path)); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(status_service, StatusFixture)

BOOST_AUTO_TEST_CASE(a_page_for_people_is_complete_without_scripts) {
    const std::string answer = get("/");
    BOOST_TEST(status_of(answer) == "200");
    BOOST_TEST(field_of(answer, "Content-Type") == "text/html; charset=utf-8");
    BOOST_TEST(field_of(answer, "Cache-Control") == "no-store");
    BOOST_TEST(holds(field_of(answer, "Content-Security-Policy"), "default-src 'none'"));
    for (const char* const part : {">4242<", "<td>web</td>", "<td>0.0.0.0:80 [::]:80</td>",
                                   "<td>100</td>", "http-equiv=\"refresh\"", "crashed"})
        BOOST_TEST(holds(content_of(answer), part), part << " is not in " << content_of(answer));
    BOOST_TEST(!holds(answer, "src="));
    BOOST_TEST(!holds(answer, "href=\"http"));
}

BOOST_AUTO_TEST_CASE(names_can_not_become_markup) {
    page().listeners[0].name = "<script>x";
    const std::string answer = get("/");
    BOOST_TEST(!holds(answer, "<td><script>"));
    BOOST_TEST(holds(answer, "<td>&lt;script&gt;x</td>"));
}

BOOST_AUTO_TEST_CASE(programs_get_metrics_and_json) {
    const std::string metrics = get("/metrics");
    BOOST_TEST(field_of(metrics, "Content-Type") == "text/plain; version=0.0.4; charset=utf-8");
    BOOST_TEST(holds(metrics, "preforkd_connections_active{listener=\"web\"} 3\n"));
    const std::string json = get("/status.json");
    BOOST_TEST(field_of(json, "Content-Type") == "application/json");
    BOOST_TEST(content_of(json).starts_with("{\"program\":\"preforkd\""));
}

BOOST_AUTO_TEST_CASE(live_is_always_true_and_ready_what_the_master_says) {
    BOOST_TEST(summary_of(get("/live")) == "200 live\n");
    BOOST_TEST(summary_of(get("/ready")) == "200 ready\n");
    page().front.ready = 0;
    BOOST_TEST(summary_of(get("/ready")) == "503 not ready\n");
    BOOST_TEST(summary_of(get("/live")) == "200 live\n");
}

BOOST_AUTO_TEST_CASE(a_master_stopped_in_a_change_is_no_reason_to_hang) {
    page().changes.store(1);
    BOOST_TEST(status_of(get("/metrics")) == "503");
    BOOST_TEST(status_of(get("/ready")) == "503");
    BOOST_TEST(status_of(get("/live")) == "200");
}

BOOST_AUTO_TEST_CASE(without_a_scoreboard_it_says_so) {
    ServiceContext none{"status", {}, {}, server.log.logger};
    service.start(none);
    BOOST_TEST(summary_of(get("/")) == "503 there is no scoreboard\n");
}

BOOST_AUTO_TEST_CASE(other_paths_methods_and_bodies_are_refused) {
    BOOST_TEST(status_of(get("/metrics/")) == "404");
    const std::string posted =
        exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    BOOST_TEST(status_of(posted) == "405");
    BOOST_TEST(field_of(posted, "Allow") == "GET, HEAD");
    BOOST_TEST(field_of(posted, "Connection") == "close");
    BOOST_TEST(status_of(exchange("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n")) == "405");
    BOOST_TEST(status_of(exchange("nonsense\r\n\r\n")) == "400");
}

BOOST_AUTO_TEST_CASE(a_head_gets_no_content_and_pipelined_requests_their_answers) {
    const std::string head = exchange("HEAD /live HTTP/1.1\r\nHost: a\r\n\r\n");
    BOOST_TEST(field_of(head, "Content-Length") == "5");
    BOOST_TEST(content_of(head) == "");
    const std::string three =
        exchange(HttpFixture::get("/live") + HttpFixture::get("/ready") + HttpFixture::get("/"));
    BOOST_TEST(count_of(three, "HTTP/1.1 200 OK") == 3u);
    BOOST_TEST(holds(three, "</html>"));
}

BOOST_AUTO_TEST_CASE(old_clients_and_those_that_want_to_close_are_served_once) {
    const std::string old = exchange("GET /live HTTP/1.0\r\n\r\n");
    BOOST_TEST(field_of(old, "Connection") == "close");
    const std::string closing =
        exchange("GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    BOOST_TEST(field_of(closing, "Connection") == "close");
}

BOOST_AUTO_TEST_SUITE_END()
