#include "tests/unit/engine_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

task<void> greet_lines(Connection& client) {
    while (auto line = co_await client.read_line()) co_await client.write("hello, " + *line + "\n");
}

/// What the service read, and why it stopped.
struct Record {
    std::vector<std::string> read;
    End why = End::none;
    std::string left_over;
};

using Reader = std::function<task<void>(Connection&, Record&)>;

/// Sends `bytes` in pieces of `step` and then ends the stream.
Record read_in_steps(const Reader& reader, std::string_view bytes, std::size_t step) {
    Record record;
    EngineFixture fixture([&](Connection& client) { return reader(client, record); });
    Peer peer = fixture.connect();
    while (!bytes.empty()) {
        peer.send(bytes.substr(0, step));
        bytes.remove_prefix(std::min(step, bytes.size()));
        fixture.settle();
    }
    peer.half_close();
    fixture.settle();
    fixture.engine.tick();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
    return record;
}

void remember_end(Connection& client, Record& record) {
    record.why = client.why();
    record.left_over = client.received();
}

task<void> read_lines(Connection& client, Record& record) {
    while (auto line = co_await client.read_line()) record.read.push_back(std::move(*line));
    remember_end(client, record);
}

task<void> read_triples(Connection& client, Record& record) {
    for (;;) {
        char three[3];
        if (!co_await client.read_exact(three)) break;
        record.read.emplace_back(three, sizeof three);
    }
    remember_end(client, record);
}

task<void> read_fives(Connection& client, Record& record) {
    while (auto five = co_await client.read_exact(5)) record.read.push_back(std::move(*five));
    remember_end(client, record);
}

task<void> read_paragraphs(Connection& client, Record& record) {
    while (const auto paragraph = co_await client.read_until("\r\n\r\n", 100))
        record.read.emplace_back(*paragraph);
    remember_end(client, record);
}

/// A parser as http's: looks at all there is, asks for more, consumes a whole message.
task<void> parse_numbers(Connection& client, Record& record) {
    for (;;) {
        const auto end = client.received().find(';');
        if (end == std::string_view::npos) {
            if (!co_await client.fill()) break;
            continue;
        }
        record.read.emplace_back(client.received().substr(0, end));
        client.consume(end + 1);
    }
    remember_end(client, record);
}

using Strings = std::vector<std::string>;

void check(const Record& record, const Strings& read, End why, std::string_view left_over) {
    BOOST_TEST(record.read == read, boost::test_tools::per_element());
    BOOST_TEST(to_string(record.why) == to_string(why));
    BOOST_TEST(record.left_over == left_over);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(session_reads)

BOOST_AUTO_TEST_CASE(lines_are_answered_however_they_are_split) {
    EngineFixture fixture(greet_lines);
    Peer peer = fixture.connect();
    for (const char byte : std::string("ann\r\nbob\n")) {
        peer.send({&byte, 1});
        fixture.settle();
    }
    BOOST_TEST(peer.receive() == "hello, ann\nhello, bob\n");
    peer.close();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
}

BOOST_AUTO_TEST_CASE(every_read_gives_the_same_however_the_bytes_are_split) {
    for (std::size_t step = 1; step <= 24; ++step) {
        BOOST_TEST_CONTEXT("in pieces of " << step) {
            check(read_in_steps(read_lines, "one\r\n\ntwo three\n\r\nrest", step),
                  {"one", "", "two three", ""}, End::peer_left, "rest");
            check(read_in_steps(read_triples, "abcdefgh", step), {"abc", "def"}, End::peer_left,
                  "");
            check(read_in_steps(read_fives, "abcdefghijkl", step), {"abcde", "fghij"},
                  End::peer_left, "");
            check(read_in_steps(read_paragraphs, "a: b\r\n\r\n\r\n\r\r\n\r\nrest\r\n\r", step),
                  {"a: b\r\n\r\n", "\r\n\r\r\n\r\n"}, End::peer_left, "rest\r\n\r");
            check(read_in_steps(parse_numbers, "1;22;333;4", step), {"1", "22", "333"},
                  End::peer_left, "4");
        }
    }
}

BOOST_AUTO_TEST_CASE(a_line_may_be_as_long_as_its_limit_and_no_longer) {
    const auto reader = [](Connection& client, Record& record) -> task<void> {
        while (auto line = co_await client.read_line(5)) record.read.push_back(std::move(*line));
        remember_end(client, record);
    };
    for (const std::size_t step : {1u, 4u, 100u}) {
        check(read_in_steps(reader, "1234\n123\r\nlast", step), {"1234", "123"}, End::peer_left,
              "last");
        check(read_in_steps(reader, "12345\n", step), {}, End::too_long,
              step == 4   ? "12345\n"
              : step == 1 ? "12345"
                          : "12345\n");
    }
}

BOOST_AUTO_TEST_CASE(an_overlong_line_can_be_answered_and_the_answer_arrives) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        while (co_await client.read_line(16)) co_await client.write("ok\n");
        if (client.why() == End::too_long) co_await client.write("too long\n");
    });
    Peer peer = fixture.connect();
    peer.send("fine\n" + std::string(100000, 'x'));
    fixture.settle();
    BOOST_TEST(peer.receive() == "ok\ntoo long\n");
    BOOST_TEST(peer.ended());
    BOOST_TEST(!peer.reset());
}

BOOST_AUTO_TEST_CASE(what_is_never_consumed_is_too_long_in_the_end) {
    Record record;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        while (co_await client.fill()) record.read.resize(1);
        record.why = client.why();
        record.read.front() = client.received();
    });
    Peer peer = fixture.connect();
    const std::string sent(Connection::receive_capacity + 1000, 'y');
    std::string_view left = sent;
    while (!left.empty() && record.why == End::none) {
        left.remove_prefix(peer.send(left));
        fixture.settle();
    }
    BOOST_TEST(to_string(record.why) == "too long");
    BOOST_TEST(record.read.front().size() == Connection::receive_capacity);
}

BOOST_AUTO_TEST_CASE(half_messages_of_many_connections_do_not_mix) {
    EngineFixture fixture(greet_lines);
    std::vector<Peer> peers;
    for (int i = 0; i < 20; ++i) peers.push_back(fixture.connect());
    const std::string name(300, 'n');
    for (std::size_t at = 0; at < name.size(); at += 50)
        for (std::size_t i = 0; i < peers.size(); ++i) {
            peers[i].send(name.substr(at, 50) + std::to_string(i));
            fixture.settle();
        }
    for (std::size_t i = 0; i < peers.size(); ++i) {
        peers[i].send("\n");
        fixture.settle();
        std::string wanted;
        for (int k = 0; k < 6; ++k) wanted += std::string(50, 'n') + std::to_string(i);
        BOOST_TEST(peers[i].receive() == "hello, " + wanted + "\n");
    }
}

BOOST_AUTO_TEST_CASE(input_of_any_size_flows_through_read_exact) {
    constexpr std::size_t size = 1 << 20;
    std::string got;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        if (auto all = co_await client.read_exact(size)) got = std::move(*all);
    });
    std::string sent(size, '\0');
    for (std::size_t i = 0; i < size; ++i) sent[i] = static_cast<char>(i * 31 + i / 1000);
    Peer peer = fixture.connect();
    for (std::string_view left = sent; !left.empty();) {
        left.remove_prefix(peer.send(left));
        fixture.settle();
    }
    BOOST_TEST((got == sent));
}

BOOST_AUTO_TEST_CASE(wake_ends_a_wait_without_ending_the_connection) {
    Connection* waiting = nullptr;
    Record record;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        waiting = &client;
        for (;;) {
            if (auto line = co_await client.read_line())
                co_await client.write("line\n");
            else if (client.why() == End::woken)
                co_await client.write("news\n");
            else
                break;
        }
        record.why = client.why();
    });
    Peer peer = fixture.connect();
    fixture.settle();
    waiting->wake();
    fixture.settle();
    BOOST_TEST(peer.receive() == "news\n");
    peer.send("half");
    fixture.settle();
    waiting->wake();
    fixture.settle();
    peer.send(" a line\n");
    fixture.settle();
    BOOST_TEST(peer.receive() == "news\nline\n");
    peer.close();
    fixture.settle();
    BOOST_TEST(to_string(record.why) == "peer left");
}

BOOST_AUTO_TEST_CASE(an_end_that_came_with_the_last_request_is_noticed_within_two_ticks) {
    // A client sent a request and its FIN in one go and was held for ever: a short read ends the
    // reading, and no event comes for an end of stream that had already arrived.
    EngineFixture fixture(greet_lines);
    Peer peer = fixture.connect();
    fixture.settle();
    peer.send("ann\n");
    peer.half_close();
    fixture.settle();
    BOOST_TEST(peer.receive() == "hello, ann\n");
    fixture.engine.tick();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
    peer.receive();
    BOOST_TEST(peer.ended());
}

BOOST_AUTO_TEST_SUITE_END()
