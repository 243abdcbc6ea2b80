#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>

#include "shared/mapping.hpp"
#include "tests/unit/engine_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

/// A connection whose client sees each send of the server as a record of its own.
struct Records {
    explicit Records(EngineFixture& fixture) {
        int ends[2];
        BOOST_REQUIRE(
            ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        client.reset(ends[0]);
        fixture.engine.adopt(UniqueFd(ends[1]));
    }

    void send(std::string_view record) const {
        BOOST_REQUIRE(::send(client.get(), record.data(), record.size(), 0) ==
                      static_cast<ssize_t>(record.size()));
    }

    [[nodiscard]] std::vector<std::string> receive() const {
        std::vector<std::string> records;
        char chunk[200000];
        for (;;) {
            const ssize_t got = ::recv(client.get(), chunk, sizeof chunk, 0);
            if (got <= 0) return records;
            records.emplace_back(chunk, static_cast<std::size_t>(got));
        }
    }

    UniqueFd client;
};

task<void> upper_lines(Connection& client) {
    while (const auto line = co_await client.read_until("\n", 100)) {
        std::string answer(*line);
        for (char& letter : answer) letter = static_cast<char>(std::toupper(letter));
        co_await client.write("<");
        co_await client.write(answer.substr(0, answer.size() - 1));
        co_await client.write(">\n");
    }
}

task<void> write_for_ever(Connection& client, End& why, seconds send_timeout = seconds(3)) {
    client.send_timeout(send_timeout);
    const std::string piece(1000, 'x');
    while (co_await client.write(piece)) {
    }
    why = client.why();
}

/// A TCP client that the server's kernel keeps so much for, and its own so little as it can.
Peer peer_behind(const EngineFixture& fixture, int send_buffer) {
    const int receive_buffer = 4096;
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    ::setsockopt(fixture.listener, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(fixture.listener, reinterpret_cast<sockaddr*>(&address), &size);
    BOOST_REQUIRE(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    return Peer(std::move(socket));
}

/// Reads that many bytes, waiting for them, or up to the end.
void take(const Peer& peer, std::size_t size) {
    char chunk[4096];
    while (size != 0) {
        pollfd question{peer.fd(), POLLIN, 0};
        BOOST_REQUIRE(::poll(&question, 1, 10000) == 1);
        const ssize_t got = ::recv(peer.fd(), chunk, std::min(size, sizeof chunk), 0);
        if (got <= 0) return;
        size -= static_cast<std::size_t>(got);
    }
}

UniqueFd file_of(std::string_view text) {
    UniqueFd file(::memfd_create("file", MFD_CLOEXEC));
    BOOST_REQUIRE(!write_all(file.get(), text));
    return file;
}

std::string_view content_of(const Mapping& mapping) {
    return {mapping.as<char>(), mapping.size()};
}

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7 + i / 999);
    return text;
}

/// Reads all that the server sends, while it runs.
std::string receive_all(EngineFixture& fixture, Peer& peer) {
    std::string all;
    fixture.run_until([&] {
        all += peer.receive();
        return peer.ended() || peer.reset();
    });
    return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(session_writes)

BOOST_AUTO_TEST_CASE(pipelined_requests_are_answered_with_one_send) {
    EngineFixture fixture(upper_lines);
    const Records records(fixture);
    fixture.settle();
    records.send("a\nbb\nccc\n");
    fixture.settle();
    const auto got = records.receive();
    BOOST_REQUIRE(got.size() == 1u);
    BOOST_TEST(got.front() == "<A>\n<BB>\n<CCC>\n");
}

BOOST_AUTO_TEST_CASE(flush_sends_before_the_next_wait) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        client.put("one");
        co_await client.flush();
        char* const room = client.prepare(10);
        std::memcpy(room, "twothree", 8);  // NOLINT(bugprone-not-null-terminated-result)
        client.commit(3);
        BOOST_TEST(client.unsent() == 3u);
        co_await client.flush();
        BOOST_TEST(client.unsent() == 0u);
    });
    const Records records(fixture);
    fixture.settle();
    const auto got = records.receive();
    BOOST_REQUIRE(got.size() == 2u);
    BOOST_TEST(got[0] == "one");
    BOOST_TEST(got[1] == "two");
}

BOOST_AUTO_TEST_CASE(what_the_service_wrote_last_is_sent_when_it_returns) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        client.put("bye\n");
        co_return;
    });
    Peer peer = fixture.connect();
    fixture.settle();
    BOOST_TEST(peer.receive() == "bye\n");
    BOOST_TEST(peer.ended());
    BOOST_TEST(fixture.engine.session_count() == 0u);
}

BOOST_AUTO_TEST_CASE(answers_of_connections_that_gather_in_turns_do_not_mix) {
    std::vector<Connection*> waiting;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        waiting.push_back(&client);
        while (co_await client.fill()) client.consume(client.received().size());
    });
    std::vector<Peer> peers;
    for (int i = 0; i < 3; ++i) peers.push_back(fixture.connect());
    fixture.settle();
    for (int round = 0; round < 4; ++round)
        for (std::size_t i = 0; i < waiting.size(); ++i)
            waiting[i]->put(std::to_string(i) + std::to_string(round) + " ");
    for (Peer& peer : peers) peer.send("go");
    fixture.settle();
    BOOST_TEST(peers[0].receive() == "00 01 02 03 ");
    BOOST_TEST(peers[1].receive() == "10 11 12 13 ");
    BOOST_TEST(peers[2].receive() == "20 21 22 23 ");
}

BOOST_AUTO_TEST_CASE(pieces_of_every_size_arrive_whole_and_in_order) {
    const std::string all = pattern(600000);
    EngineFixture fixture([&](Connection& client) -> task<void> {
        std::string_view left = all;
        for (const std::size_t size :
             {1u, 100u, 16384u, 16385u, 65536u, 65537u, 200000u, 3u, 70000u}) {
            co_await client.write(left.substr(0, size));
            left.remove_prefix(size);
        }
        client.put(left);
    });
    Peer peer = fixture.connect();
    BOOST_TEST((receive_all(fixture, peer) == all));
}

BOOST_AUTO_TEST_CASE(a_peer_that_never_reads_makes_the_service_wait) {
    std::size_t written = 0;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        const std::string piece(1000, 'x');
        while (co_await client.write(piece)) written += piece.size();
    });
    Peer peer = fixture.connect();
    fixture.settle();
    const std::size_t first = written;
    BOOST_TEST(first < 2000000u);
    for (int i = 0; i < 10; ++i) fixture.engine.tick();
    fixture.settle();
    BOOST_TEST(written == first);
    std::string got = peer.receive();
    fixture.settle();
    BOOST_TEST(written > first);
    peer.close();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
}

BOOST_AUTO_TEST_CASE(a_peer_that_never_reads_is_given_up_after_the_send_timeout) {
    End why = End::none;
    EngineFixture fixture([&](Connection& client) { return write_for_ever(client, why); });
    const Peer peer = fixture.connect();
    fixture.settle();
    for (int i = 0; i < 3; ++i) {
        fixture.engine.tick();
        fixture.settle();
        BOOST_TEST(to_string(why) == "none");
    }
    fixture.engine.tick();
    fixture.settle();
    BOOST_TEST(to_string(why) == "deadline");
    BOOST_TEST(fixture.engine.session_count() == 0u);
}

BOOST_AUTO_TEST_CASE(giving_up_a_peer_that_never_reads_leaves_nothing_in_the_kernel) {
    End why = End::none;
    EngineFixture fixture([&](Connection& client) { return write_for_ever(client, why); });
    Peer peer = Peer::connected_to(fixture.listener);
    fixture.engine.start_accepting();
    fixture.run_until([&] { return fixture.engine.session_count() == 1; });
    // The kernels of both ends may find room for a little more at any time; then it starts anew.
    for (int i = 0; i < 1000 && fixture.engine.session_count() != 0; ++i) {
        fixture.engine.tick();
        fixture.settle();
    }
    BOOST_TEST(to_string(why) == "deadline");
    peer.receive();
    BOOST_TEST(peer.reset());
}

// What the server's kernel swallowed said little of the client: one that took a few bytes now and
// then kept its connection for ever, and a sound one behind a large buffer lost it.
BOOST_AUTO_TEST_CASE(a_peer_has_to_take_a_kibibyte_a_second_whatever_the_kernel_holds) {
    struct {
        int send_buffer;
        std::size_t taken_each_second;
        bool may_stay;
    } const cases[] = {{4 << 20, 4096, true}, {2048, 256, false}};
    for (const auto& each : cases) {
        End why = End::none;
        EngineFixture fixture(
            [&](Connection& client) { return write_for_ever(client, why, seconds(60)); });
        Peer peer = peer_behind(fixture, each.send_buffer);
        fixture.engine.start_accepting();
        fixture.run_until([&] { return fixture.engine.session_count() == 1; });
        int lived = 0;
        for (; lived < 300 && fixture.engine.session_count() != 0; ++lived) {
            take(peer, each.taken_each_second);
            fixture.engine.tick();
            fixture.settle();
        }
        BOOST_TEST((fixture.engine.session_count() == 1) == each.may_stay);
        BOOST_TEST(to_string(why) == (each.may_stay ? "none" : "deadline"));
        BOOST_TEST(lived > 60);
    }
}

// A client that asked for one file, with "Connection: close", and never read it kept a full buffer
// of the kernel's for minutes after its session had ended.
BOOST_AUTO_TEST_CASE(the_kernel_gives_up_what_is_not_acknowledged_after_the_end) {
    UniqueFd server_end;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        server_end.reset(::dup(client.descriptor()));
        client.put(std::string(50000, 'x'));
        co_return;
    });
    int limit = 0;
    socklen_t size = sizeof limit;
    ::getsockopt(fixture.listener, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, &size);
    BOOST_TEST(limit == 33000);
    limit = 1000;
    ::setsockopt(fixture.listener, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, size);
    const Peer peer = peer_behind(fixture, 1 << 20);
    fixture.engine.start_accepting();
    fixture.run_until([&] { return fixture.engine.accepted_count() == 1; });
    BOOST_TEST(fixture.engine.session_count() == 0u);
    pollfd end{server_end.get(), 0, 0};
    BOOST_TEST(::poll(&end, 1, 10000) == 1);
    int error = 0;
    ::getsockopt(server_end.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    BOOST_TEST(error == ETIMEDOUT);
}

BOOST_AUTO_TEST_CASE(a_view_of_received_bytes_can_be_written_back_even_when_that_must_wait) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        while (const auto bytes = co_await client.read_some())
            if (!co_await client.write(*bytes)) co_return;
    });
    const std::string all = pattern(3000000);
    Peer peer = fixture.connect();
    Peer other = fixture.connect();
    std::string_view left = all;
    std::string got;
    // First fill every buffer on the way, with another connection using the shared ones.
    for (std::size_t sent = 1; sent != 0;) {
        sent = peer.send(left);
        left.remove_prefix(sent);
        fixture.settle();
        other.send(std::string(5000, '!'));
        fixture.settle();
        BOOST_TEST(other.receive() == std::string(5000, '!'));
    }
    while (got.size() < all.size()) {
        got += peer.receive();
        left.remove_prefix(peer.send(left));
        fixture.settle();
    }
    BOOST_TEST((got == all));
}

BOOST_AUTO_TEST_CASE(a_file_follows_its_head) {
    const std::string text = pattern(300000);
    const UniqueFd file = file_of(text);
    bool whole = false;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        co_await client.write("head:");
        whole = co_await client.send_file(file.get(), 1000, 250000);
        co_await client.write(":tail");
    });
    Peer peer = Peer::connected_to(fixture.listener);
    fixture.engine.start_accepting();
    BOOST_TEST((receive_all(fixture, peer) == "head:" + text.substr(1000, 250000) + ":tail"));
    BOOST_TEST(whole);
}

BOOST_AUTO_TEST_CASE(a_file_that_was_cut_ends_the_connection_as_broken) {
    const UniqueFd file = file_of("short");
    End why = End::none;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        if (!co_await client.send_file(file.get(), 0, 100)) why = client.why();
    });
    Peer peer = Peer::connected_to(fixture.listener);
    fixture.engine.start_accepting();
    receive_all(fixture, peer);
    BOOST_TEST(to_string(why) == "truncated");
    BOOST_TEST(peer.reset());
}

BOOST_AUTO_TEST_CASE(a_mapped_file_and_its_head_leave_with_one_send) {
    const std::string text = pattern(60000);
    const UniqueFd file = file_of(text);
    const Mapping mapping = Mapping::read_only(file).value();
    EngineFixture fixture([&](Connection& client) -> task<void> {
        co_await client.write("head:");
        co_await client.send_file(file.get(), 0, text.size(), content_of(mapping));
    });
    const Records records(fixture);
    fixture.settle();
    const auto got = records.receive();
    BOOST_REQUIRE(got.size() == 1u);
    BOOST_TEST((got.front() == "head:" + text));
}

// What the kernel doesn't take at once is sent much later, when the file may have been cut, so it
// doesn't come from the mapping. Here that shows another file, to tell the two apart.
BOOST_AUTO_TEST_CASE(of_a_mapped_file_a_slow_peer_gets_the_rest_from_the_file_itself) {
    constexpr std::size_t size = 250000;
    const UniqueFd file = file_of(std::string(size, 'f'));
    const UniqueFd other = file_of(std::string(size, 'm'));
    const Mapping mapping = Mapping::read_only(other).value();
    EngineFixture fixture([&](Connection& client) -> task<void> {
        co_await client.send_file(file.get(), 0, size, content_of(mapping));
    });
    const int send_buffer = 16384;
    ::setsockopt(fixture.listener, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    Peer peer = Peer::connected_to(fixture.listener);
    fixture.engine.start_accepting();
    const std::string got = receive_all(fixture, peer);
    const std::size_t from_mapping = got.find('f');
    BOOST_TEST(got.size() == size);
    BOOST_TEST(from_mapping > 0u);
    BOOST_TEST(from_mapping < size);
    BOOST_TEST(got.find('m', from_mapping) == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_mapped_file_that_was_cut_ends_the_connection_as_broken) {
    constexpr std::size_t size = 100000;
    const std::string text = pattern(size);
    const UniqueFd file = file_of(text);
    const UniqueFd empty = file_of(text);
    const Mapping mapping = Mapping::read_only(file).value();
    const Mapping of_empty = Mapping::read_only(empty).value();
    BOOST_REQUIRE(::ftruncate(empty.get(), 0) == 0);
    std::vector<std::string> ends;
    std::string_view shown;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        const bool whole = co_await client.send_file(file.get(), 0, size, shown);
        ends.emplace_back(whole ? "whole" : to_string(client.why()));
    });
    const auto got_of = [&](const Mapping& to_show) {
        shown = content_of(to_show);
        Peer peer = fixture.connect();
        return receive_all(fixture, peer);
    };
    BOOST_TEST((got_of(mapping) == text));
    // It is cut after it was asked for its size: there is nothing behind the mapping.
    BOOST_TEST(got_of(of_empty).size() < size);
    // It was cut inside its last page, of which the rest would read as zeros.
    BOOST_REQUIRE(::ftruncate(file.get(), size - 1) == 0);
    BOOST_TEST(got_of(mapping).size() < size);
    const std::vector<std::string> expected{"whole", "truncated", "truncated"};
    BOOST_TEST(ends == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(after_a_half_close_the_service_still_reads) {
    std::string heard;
    EngineFixture fixture([&](Connection& client) -> task<void> {
        client.put("that is all");
        BOOST_TEST(co_await client.shutdown_write());
        BOOST_TEST(co_await client.shutdown_write());
        if (auto line = co_await client.read_line()) heard = std::move(*line);
    });
    Peer peer = fixture.connect();
    fixture.settle();
    BOOST_TEST(peer.receive() == "that is all");
    BOOST_TEST(peer.ended());
    peer.send("thanks\n");
    fixture.settle();
    BOOST_TEST(heard == "thanks");
}

BOOST_AUTO_TEST_CASE(a_client_that_still_sends_gets_its_answer_before_the_end) {
    // The server closed with unread input, the kernel made a reset of it, and the client lost the
    // answer that it had not read yet.
    EngineFixture fixture([](Connection& client) -> task<void> {
        static_cast<void>(co_await client.read_line());
        co_await client.write("enough\n");
    });
    Peer peer = Peer::connected_to(fixture.listener);
    peer.send("one\ntwo\nthree\n");
    fixture.engine.start_accepting();
    fixture.run_until([&] { return fixture.engine.accepted_count() == 1; });
    fixture.settle();
    peer.send("four\n");
    BOOST_TEST(receive_all(fixture, peer) == "enough\n");
    BOOST_TEST(!peer.reset());
    BOOST_TEST(fixture.engine.session_count() == 1u);
    for (int i = 0; i < 3; ++i) fixture.engine.tick();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
}

BOOST_AUTO_TEST_CASE(abort_resets) {
    EngineFixture fixture([](Connection& client) -> task<void> {
        client.put("never seen");
        client.abort();
        co_return;
    });
    Peer peer = Peer::connected_to(fixture.listener);
    fixture.engine.start_accepting();
    BOOST_TEST(receive_all(fixture, peer) == "");
    BOOST_TEST(peer.reset());
}

BOOST_AUTO_TEST_SUITE_END()
