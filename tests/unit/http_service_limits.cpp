// What the file server endures: bodies, slow and silent clients, too many of them, its own end.

#include "tests/unit/http_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

std::string post(const std::string& fields, const std::string& body) {
    return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

/// How many of the `count` requests in `burst` were answered when another client's one was. All of
/// them are in the end.
std::uint64_t answered_before_another(HttpFixture& site, const std::string& burst,
                                      std::size_t count) {
    Peer greedy = site.connect();
    Peer other = site.connect();
    site.server.settle();
    BOOST_REQUIRE(greedy.send(burst) == burst.size());
    BOOST_REQUIRE(other.send(HttpFixture::get("/a.txt")) > 0U);
    std::string answer, answers;
    std::uint64_t answered_before = 0;
    site.server.run_until([&] {
        answered_before = site.server.engine.request_count();
        return !(answer = other.receive()).empty();
    });
    BOOST_TEST(summary_of(answer) == "200 hello");
    site.server.run_until([&] {
        answers += greedy.receive();
        return count_of(answers, "HTTP/1.1 200 OK\r\n") == count;
    });
    return answered_before;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_service_limits, HttpFixture)

BOOST_AUTO_TEST_CASE(bodies_are_discarded_and_never_taken_for_a_request) {
    const std::string smuggled = get("/a.txt");
    const std::string size = std::to_string(smuggled.size());
    for (const std::string& request :
         {post("Content-Length: " + size + "\r\n", smuggled),
          post("Transfer-Encoding: chunked\r\n", "5\r\nGET /\r\n0\r\n\r\n"),
          post("Transfer-Encoding: chunked\r\n", "1;a=b\r\nx\r\n0\r\nX: y\r\n\r\n"),
          get("/", "Content-Length: " + size + "\r\n") + smuggled}) {
        const std::string responses = exchange(request + "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        BOOST_TEST(count_of(responses, "HTTP/1.1 ") == 2U, request);
        BOOST_TEST(responses.find("hello") == std::string::npos);
        BOOST_TEST(responses.substr(responses.size() - 4) == "\r\n\r\n");
    }
}

BOOST_AUTO_TEST_CASE(a_get_with_a_body_is_answered_after_it) {
    Peer peer = connect();
    const std::string request = get("/a.txt", "Content-Length: 4\r\n");
    BOOST_TEST(exchange(peer, request + "ab") == "");
    BOOST_TEST(summary_of(exchange(peer, "cd")) == "200 hello");
    write("large.bin", std::string(100000, 'x'));
    BOOST_TEST(
        content_of(exchange(peer, get("/large.bin", "Content-Length: 1\r\n") + "a")).size() ==
        100000U);
    BOOST_TEST(summary_of(exchange(peer, get("/a.txt"))) == "200 hello");
    BOOST_TEST(summary_of(exchange(
                   peer, get("/a.txt", "Connection: close\r\nContent-Length: 1\r\n") + "a")) ==
               "200 hello");
    BOOST_TEST(peer.ended());
}

BOOST_AUTO_TEST_CASE(a_client_that_asks_before_it_sends_a_body_is_told) {
    Peer peer = connect();
    const std::string fields = "Expect: 100-continue\r\nContent-Length: 2\r\n";
    BOOST_TEST(exchange(peer, get("/a.txt", fields)) == "HTTP/1.1 100 Continue\r\n\r\n");
    BOOST_TEST(summary_of(exchange(peer, "ab")) == "200 hello");
    BOOST_TEST(summary_of(exchange(peer, get("/a.txt", fields) + "ab")) == "200 hello");
    const std::string refused = exchange(peer, post(fields, ""));
    BOOST_TEST(status_of(refused) == "405");
    BOOST_TEST(field_of(refused, "Connection") == "close");
    BOOST_TEST(peer.ended());
    BOOST_TEST(status_of(exchange("BREW / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n")) == "501");
}

BOOST_AUTO_TEST_CASE(bodies_that_are_malformed_or_too_long_end_the_connection) {
    options.max_body = {100};
    const std::pair<std::string, const char*> cases[] = {
        {post("Transfer-Encoding: chunked\r\n", "x\r\n"), "400"},
        {post("Transfer-Encoding: chunked\r\n", "3\r\nabcd"), "400"},
        {post("Transfer-Encoding: chunked\r\n", "65\r\n"), "413"},
        {post("Content-Length: 101\r\n", "a"), "413"},
    };
    for (const auto& [request, status] : cases) {
        Peer peer = connect();
        const std::string response = exchange(peer, request);
        BOOST_TEST(status_of(response) == status, request);
        BOOST_TEST(count_of(response, "HTTP/1.1 ") == 1U);
        BOOST_TEST(peer.ended());
    }
}

BOOST_AUTO_TEST_CASE(a_head_that_takes_too_long_is_408) {
    options.header_timeout = seconds(3);
    Peer peer = connect();
    BOOST_TEST(exchange(peer, "GET /") == "");
    for (int second = 0; second < 3; ++second) {
        tick(1);
        BOOST_TEST(exchange(peer, "x") == "");
    }
    tick(2);
    const std::string response = peer.receive();
    BOOST_TEST(status_of(response) == "408");
    BOOST_TEST(field_of(response, "Connection") == "close");
}

BOOST_AUTO_TEST_CASE(a_later_head_has_its_own_deadline) {
    options.header_timeout = seconds(3);
    Peer peer = connect();
    BOOST_TEST(status_of(exchange(peer, get("/"))) == "200");
    tick(10);
    BOOST_TEST(exchange(peer, "GET /a.txt HTTP/1.1\r\n") == "");
    tick(2);
    BOOST_TEST(summary_of(exchange(peer, "Host: a\r\n\r\n")) == "200 hello");
    BOOST_TEST(exchange(peer, "GET /") == "");
    tick(5);
    BOOST_TEST(status_of(peer.receive()) == "408");
}

BOOST_AUTO_TEST_CASE(a_client_that_never_says_anything_is_closed_without_a_word) {
    options.header_timeout = seconds(3);
    Peer peer = connect();
    server.settle();
    tick(5);
    BOOST_TEST(peer.receive() == "");
    BOOST_TEST(peer.ended());
}

BOOST_AUTO_TEST_CASE(an_idle_connection_is_closed_after_its_time) {
    options.idle_timeout = seconds(20);
    Peer peer = connect();
    exchange(peer, get("/"));
    tick(19);
    BOOST_TEST(peer.receive() == "");
    BOOST_TEST(!peer.ended());
    tick(3);
    BOOST_TEST(peer.receive() == "");
    BOOST_TEST(peer.ended());
}

BOOST_AUTO_TEST_CASE(a_short_idle_timeout_cuts_no_request_that_has_begun) {
    options.idle_timeout = seconds(2);
    Peer peer = connect();
    BOOST_TEST(exchange(peer, "GET /a.txt HT") == "");
    tick(6);
    BOOST_TEST(summary_of(exchange(peer, "TP/1.1\r\nHost: a\r\n\r\n")) == "200 hello");
    BOOST_TEST(exchange(peer, post("Content-Length: 2\r\n", "a")) == "");
    tick(6);
    BOOST_TEST(status_of(exchange(peer, "a")) == "405");
    BOOST_TEST(exchange(peer, "GET /a.txt HT") == "");
    tick(6);
    BOOST_TEST(summary_of(exchange(peer, "TP/1.1\r\nHost: a\r\n\r\n")) == "200 hello");
    tick(5);
    BOOST_TEST(peer.receive() == "");
    BOOST_TEST(peer.ended());
}

BOOST_AUTO_TEST_CASE(a_body_has_a_deadline_that_grows_with_what_has_come) {
    options.body_timeout = seconds(2);
    Peer peer = connect();
    BOOST_TEST(exchange(peer, post("Content-Length: 100000\r\n", "a")) == "");
    tick(5);
    BOOST_TEST(status_of(peer.receive()) == "408");
    Peer quick = connect();
    BOOST_TEST(exchange(quick, post("Content-Length: 100000\r\n", std::string(20000, 'a'))) == "");
    tick(5);
    BOOST_TEST(quick.receive() == "");
    BOOST_TEST(status_of(exchange(quick, std::string(80000, 'a'))) == "405");
}

BOOST_AUTO_TEST_CASE(a_client_that_takes_nothing_is_cut_off) {
    options.send_timeout = seconds(5);
    write("large.bin", std::string(10'000'000, 'x'));
    Peer peer = connect();
    BOOST_TEST(peer.send(get("/large.bin")) > 0U);
    server.settle();
    tick(4);
    BOOST_TEST(server.engine.session_count() == 1U);
    tick(3);
    BOOST_TEST(server.engine.session_count() == 0U);
    BOOST_TEST(peer.receive().size() < 10'000'000U);
    BOOST_TEST(access_lines().find(" 200 - ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_client_that_pipelines_and_never_reads_costs_bounded_memory) {
    write("middle.bin", std::string(30000, 'm'));
    Peer peer = connect();
    std::size_t sent = 0;
    std::string requests;
    for (int i = 0; i < 100; ++i) requests += get("/middle.bin");
    // Until the server reads no more: what is in flight then lies in the kernel.
    for (int i = 0; i < 1000; ++i) {
        const std::size_t more = peer.send(requests.substr(sent % requests.size()));
        server.settle();
        sent += more;
        if (more == 0) break;
    }
    BOOST_TEST(server.engine.request_count() < 100U);
    BOOST_TEST(sent < 10'000'000U);
    std::string received;
    while (received.size() < server.engine.request_count() * 30000) {
        received += peer.receive();
        server.settle();
    }
    BOOST_TEST(count_of(received, "HTTP/1.1 200 OK\r\n") >= 100U);
}

// A burst of requests for a long list kept a worker from everybody else until it was taken for hung
// and killed: each takes milliseconds, and all were made before anybody else had a turn.
BOOST_AUTO_TEST_CASE(a_burst_for_lists_of_folders_lets_others_have_their_turn) {
    options.listing = true;
    std::filesystem::remove(root / "index.html");
    std::string burst;
    for (int i = 0; i < 100; ++i) burst += "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    BOOST_TEST(answered_before_another(*this, burst, 100) < 50U);
}

// A burst of requests for a thousand files that were not looked up before took a tenth of a second.
BOOST_AUTO_TEST_CASE(a_burst_for_files_not_known_yet_lets_others_have_their_turn) {
    std::string burst;
    for (int i = 0; i < 400; ++i) {
        write(std::to_string(i), "x");
        burst += get("/" + std::to_string(i));
    }
    BOOST_TEST(answered_before_another(*this, burst, 400) < 40U);
}

BOOST_AUTO_TEST_CASE(too_many_connections_shed_the_one_that_has_been_idle_longest) {
    options.max_connections = 3;
    Peer first = connect();
    Peer second = connect();
    Peer third = connect();
    exchange(second, get("/"));
    exchange(first, get("/"));
    exchange(third, get("/"));
    BOOST_TEST(summary_of(exchange(get("/a.txt"))) == "200 hello");
    second.receive();
    BOOST_TEST(second.ended());
    BOOST_TEST(summary_of(exchange(first, get("/a.txt"))) == "200 hello");
    BOOST_TEST(summary_of(exchange(third, get("/a.txt"))) == "200 hello");
}

BOOST_AUTO_TEST_CASE(too_many_busy_connections_make_new_ones_503) {
    options.max_connections = 2;
    Peer first = connect();
    Peer second = connect();
    BOOST_TEST(exchange(first, "GET /") == "");
    BOOST_TEST(exchange(second, "GET /") == "");
    Peer third = connect();
    const std::string response = exchange(third, get("/a.txt"));
    BOOST_TEST(status_of(response) == "503");
    BOOST_TEST(field_of(response, "Retry-After") == "2");
    BOOST_TEST(field_of(response, "Connection") == "close");
    BOOST_TEST(third.ended());
    third.close();
    server.settle();
    BOOST_TEST(summary_of(exchange(first, "a.txt HTTP/1.1\r\nHost: a\r\n\r\n")) == "200 hello");
    BOOST_TEST(summary_of(exchange(get("/a.txt"))) == "200 hello");
}

BOOST_AUTO_TEST_CASE(more_connections_than_descriptors_are_not_promised) {
    options.max_connections = 1000000;
    start();
    BOOST_TEST(server.log.text().find("the limit on descriptors") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_leaving_worker_says_so_on_the_next_response) {
    Peer busy = connect();
    Peer idle = connect();
    exchange(busy, get("/"));
    exchange(idle, get("/"));
    BOOST_TEST(exchange(busy, "GET /a.txt HTTP/1.1\r\n") == "");
    bool is_empty = false;
    server.engine.drain({.timeout = seconds(30), .grace = seconds(2)}, [&] { is_empty = true; });
    server.settle();
    const std::string response = exchange(busy, "Host: a\r\n\r\n");
    BOOST_TEST(summary_of(response) == "200 hello");
    BOOST_TEST(field_of(response, "Connection") == "close");
    BOOST_TEST(busy.ended());
    busy.close();
    const std::string late = exchange(idle, get("/a.txt"));
    BOOST_TEST(summary_of(late) == "200 hello");
    BOOST_TEST(field_of(late, "Connection") == "close");
    idle.close();
    server.settle();
    tick(3);
    BOOST_TEST(is_empty);
}

// With close on the first of several pipelined requests, the others went unanswered.
BOOST_AUTO_TEST_CASE(a_leaving_worker_answers_all_that_was_pipelined_before_it_closes) {
    Peer peer = connect();
    exchange(peer, get("/"));
    server.engine.drain({.timeout = seconds(30), .grace = seconds(2)}, [] {});
    server.settle();
    const std::string responses = exchange(peer, get("/a.txt") + get("/a.txt") + get("/a.txt"));
    std::size_t answers = 0, begin = 0;
    for (; (begin = responses.find("HTTP/1.1 200", begin)) != std::string::npos; ++begin) ++answers;
    BOOST_TEST(answers == 3u);
    const std::size_t close = responses.find("Connection: close");
    BOOST_TEST(close != std::string::npos);
    BOOST_TEST(close > responses.rfind("HTTP/1.1 200"));
    BOOST_TEST(peer.ended());
}

BOOST_AUTO_TEST_CASE(large_files_are_closed_when_nobody_is_connected) {
    write("large.bin", std::string(100000, 'x'));
    const auto open_files = [this] {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
            std::error_code ignored;
            const auto target = std::filesystem::read_symlink(entry.path(), ignored);
            if (target.string().find(root.path().string() + "/large.bin") == 0) ++count;
        }
        return count;
    };
    {
        Peer peer = connect();
        exchange(peer, get("/large.bin"));
        BOOST_TEST(open_files() == 1U);
    }
    server.settle();
    BOOST_TEST(open_files() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
