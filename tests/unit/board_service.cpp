#include "worker/services/board.hpp"

#include <fcntl.h>

#include <boost/test/unit_test.hpp>
#include <map>
#include <memory>

#include "board_fixture.hpp"
#include "tests/unit/engine_fixture.hpp"
#include "worker/services/board_transfer.hpp"

// The board as a service on an event loop of the test's own: what waits, and what ends waiting.

using namespace board_test;
using preforkd::test::EngineFixture;
using preforkd::test::Peer;

namespace {

const std::string greeting =
    "0.0 bulletin board ready: USER READ WRITE REPLACE LIST LAST COUNT WATCH QUIT\n";

struct Desk {
    Folder folder;
    worker::board::Options options;
    worker::Board board;
    std::array<Counter, 4> counters;
    std::unique_ptr<ServiceContext> context;
    UniqueFd data, lock;
    EngineFixture server{[this](Connection& client) { return board.serve(client); }};

    void start() {
        options.file = folder / "bb";
        const auto open = [](const std::string& path) {
            return UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        };
        data = open(folder / "bb");
        lock = open(folder / "bb-lock");
        const std::map<std::string, int, std::less<>> descriptors{{"file", data.get()},
                                                                  {"file-lock", lock.get()}};
        context =
            std::make_unique<ServiceContext>("board", options, descriptors, server.log.logger);
        context->keep_metrics(worker::Board::metrics(), counters);
        board.start(*context);
        board.confined();
    }

    /// A connection that has been greeted.
    Peer enter() {
        if (!context) start();
        Peer peer = server.connect();
        BOOST_TEST(receive(peer, greeting.size()) == greeting);
        return peer;
    }

    std::string receive(Peer& peer, std::size_t size) {
        std::string text;
        server.run_until([&] {
            text += peer.receive();
            return text.size() >= size || peer.ended();
        });
        return text;
    }

    std::string ask(Peer& peer, const std::string& lines, std::size_t replies = 1) {
        BOOST_REQUIRE(peer.send(lines) == lines.size());
        return receive_lines(peer, replies);
    }

    std::string receive_lines(Peer& peer, std::size_t count) {
        std::string text;
        server.run_until([&] {
            text += peer.receive();
            return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) >= count ||
                   peer.ended();
        });
        return text;
    }

    void tick(int seconds) {
        for (int i = 0; i < seconds; ++i) server.engine.tick();
        server.settle();
    }

    void drain(int grace) {
        worker::DrainRules rules;
        rules.grace = seconds(grace);
        server.engine.drain(rules, [] {});
    }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(board_service, Desk)

BOOST_AUTO_TEST_CASE(pipelined_commands_are_answered_in_their_order) {
    Peer peer = enter();
    BOOST_TEST(ask(peer, "WRITE a\nREAD 0\nWRITE b\nREPLACE 0/c\nLIST\nQUIT\n", 8) ==
               "3.0 WROTE 0\n2.0 MESSAGE 0 nobody/a\n3.0 WROTE 1\n3.0 WROTE 0\n"
               "2.0 MESSAGE 0 nobody/c\n2.0 MESSAGE 1 nobody/b\n2.3 END 2\n4.0 BYE see you\n");
    BOOST_TEST(receive(peer, 1) == "");
    BOOST_TEST(peer.ended());
    BOOST_TEST(server.engine.request_count() == 6u);
}

BOOST_AUTO_TEST_CASE(commands_may_come_in_any_pieces) {
    Peer peer = enter();
    for (const char byte : std::string("WRITE hello\r\nREAD 0\n")) {
        BOOST_REQUIRE(peer.send({&byte, 1}) == 1u);
        server.settle();
    }
    BOOST_TEST(receive_lines(peer, 2) == "3.0 WROTE 0\n2.0 MESSAGE 0 nobody/hello\n");
}

BOOST_AUTO_TEST_CASE(a_list_longer_than_the_buffers_arrives_whole) {
    Peer peer = enter();
    const std::string message(1000, 'm');
    std::string writes;
    for (int i = 0; i < 60; ++i) writes += "WRITE " + message + "\n";
    for (int round = 0; round < 10; ++round) (void)ask(peer, writes, 60);
    const std::string list = ask(peer, "LIST\n", 601);
    BOOST_TEST(list.ends_with("\n2.3 END 600\n"));
    BOOST_TEST(list.size() > 600 * 1000u);
}

BOOST_AUTO_TEST_CASE(a_connection_that_goes_while_its_message_is_written_harms_nobody) {
    Peer first = enter();
    Peer second = enter();
    BOOST_REQUIRE(first.send("WRITE a\n") == 8u);
    server.engine.poll();
    first.close();
    BOOST_TEST(ask(second, "WRITE b\n").starts_with("3.0 WROTE "));
    server.run_until([this] { return server.engine.session_count() == 1; });
    BOOST_TEST(ask(second, "COUNT\n") == "2.4 COUNT 2\n");
}

BOOST_AUTO_TEST_CASE(watchers_hear_of_messages_from_here_and_from_elsewhere) {
    Peer watcher = enter();
    Peer writer = enter();
    BOOST_REQUIRE(watcher.send("WATCH\n") == 6u);
    server.settle();
    (void)ask(writer, "WRITE a\n");
    BOOST_TEST(receive_lines(watcher, 1) == "2.0 MESSAGE 0 nobody/a\n");
    Child other([this] {
        Store store(folder / "bb", {});
        if (!post(store, "ann/b")) return 1;
        store.announce();
        return 0;
    });
    BOOST_TEST(receive_lines(watcher, 1) == "2.0 MESSAGE 1 ann/b\n");
    BOOST_TEST(other.exit_code() == 0);
    BOOST_TEST(ask(watcher, "\n") == "2.3 END 2\n");
    (void)ask(writer, "WRITE c\n");
    BOOST_TEST(ask(watcher, "COUNT\n") == "2.4 COUNT 3\n");
}

BOOST_AUTO_TEST_CASE(messages_transactions_and_watchers_are_counted) {
    Peer writer = enter();
    ask(writer, "WRITE one\nWRITE two\nREPLACE 0/three\nREPLACE 7/none\n", 4);
    BOOST_TEST(counters[0].get() == 3u);
    BOOST_TEST(counters[1].get() == 0u);
    BOOST_TEST(counters[2].get() == 1u);
    {
        Peer watcher = enter();
        ask(watcher, "WATCH 0\n", 2);
        BOOST_TEST(counters[3].get() == 1u);
    }
    server.run_until([this] { return counters[3].get() == 0; });
}

BOOST_AUTO_TEST_CASE(a_watch_shows_the_past_first_and_ends_with_the_next_command) {
    Peer peer = enter();
    (void)ask(peer, "WRITE a\nWRITE b\n", 2);
    BOOST_TEST(ask(peer, "WATCH 0\n", 2) == "2.0 MESSAGE 0 nobody/a\n2.0 MESSAGE 1 nobody/b\n");
    BOOST_TEST(ask(peer, "QUIT\n", 2) == "2.3 END 2\n4.0 BYE see you\n");
    BOOST_TEST(receive(peer, 1) == "");
}

// In one packet the two lines showed nothing, with a pause between them all.
BOOST_AUTO_TEST_CASE(a_watch_shows_the_past_however_its_end_arrives) {
    Peer writer = enter();
    (void)ask(writer, "WRITE a\nWRITE b\n", 2);
    const std::string lines = "WATCH 0\nQUIT\n";
    for (std::size_t cut = 0; cut < lines.size(); ++cut) {
        Peer peer = enter();
        for (const std::string& piece : {lines.substr(0, cut), lines.substr(cut)}) {
            if (piece.empty()) continue;
            BOOST_REQUIRE(peer.send(piece) == piece.size());
            server.settle();
        }
        BOOST_TEST(receive_lines(peer, 5) ==
                       "2.0 MESSAGE 0 nobody/a\n2.0 MESSAGE 1 nobody/b\n2.3 END 2\n"
                       "4.0 BYE see you\n",
                   cut);
    }
}

BOOST_AUTO_TEST_CASE(a_watch_shows_a_long_past_whole_although_a_line_waits) {
    Peer peer = enter();
    const std::string message(1000, 'm');
    std::string writes;
    for (int i = 0; i < 60; ++i) writes += "WRITE " + message + "\n";
    for (int round = 0; round < 5; ++round) (void)ask(peer, writes, 60);
    const std::string all = ask(peer, "WATCH 0\nCOUNT\n", 302);
    BOOST_TEST(all.ends_with("\n2.3 END 300\n2.4 COUNT 300\n"));
    BOOST_TEST(all.size() > 300 * 1000u);
}

BOOST_AUTO_TEST_CASE(watchers_hear_of_messages_that_are_imported) {
    Peer watcher = enter();
    BOOST_REQUIRE(watcher.send("WATCH\n") == 6u);
    server.settle();
    Pipe text;
    Child import([this, &text] {
        text.write_end.reset();
        const auto progress = [](std::uint64_t, std::uint64_t) {};
        return import_board(folder / "bb", text.read_end.get(), {}, progress).messages == 2 ? 0 : 1;
    });
    BOOST_REQUIRE(::write(text.write_end.get(), "0/ann/a\n1/bob/b\n", 16) == 16);
    text.write_end.reset();
    BOOST_TEST(receive_lines(watcher, 2) == "2.0 MESSAGE 0 ann/a\n2.0 MESSAGE 1 bob/b\n");
    BOOST_TEST(import.exit_code() == 0);
}

BOOST_AUTO_TEST_CASE(half_a_line_does_not_end_a_watch) {
    Peer watcher = enter();
    Peer writer = enter();
    BOOST_REQUIRE(watcher.send("WATCH\nCOU") == 9u);
    server.settle();
    (void)ask(writer, "WRITE a\n");
    BOOST_TEST(receive_lines(watcher, 1) == "2.0 MESSAGE 0 nobody/a\n");
    BOOST_TEST(ask(watcher, "NT\n", 2) == "2.3 END 1\n2.4 COUNT 1\n");
}

BOOST_AUTO_TEST_CASE(many_watch_and_leave_in_any_order) {
    std::vector<Peer> watchers;
    for (int i = 0; i < 20; ++i) {
        watchers.push_back(enter());
        BOOST_REQUIRE(watchers.back().send("WATCH\n") == 6u);
    }
    server.settle();
    Peer writer = enter();
    for (int i = 0; i < 20; ++i) {
        (void)ask(writer, "WRITE x\n");
        for (auto& watcher : watchers)
            BOOST_TEST(receive_lines(watcher, 1).starts_with("2.0 MESS"));
        watchers.erase(watchers.begin() + (i * 7) % static_cast<long>(watchers.size()));
    }
    server.run_until([this] { return server.engine.session_count() == 1; });
    Peer again = enter();
    BOOST_REQUIRE(again.send("WATCH\n") == 6u);
    server.settle();
    (void)ask(writer, "WRITE y\n");
    BOOST_TEST(receive_lines(again, 1) == "2.0 MESSAGE 20 nobody/y\n");
}

BOOST_AUTO_TEST_CASE(silence_is_ended_with_a_word_but_not_a_watchers) {
    options.idle_timeout = seconds(5);
    Peer silent = enter();
    Peer watcher = enter();
    BOOST_REQUIRE(watcher.send("WATCH\n") == 6u);
    server.settle();
    tick(4);
    BOOST_TEST(silent.receive() == "");
    tick(3);
    BOOST_TEST(silent.receive() == "4.0 BYE you were silent for too long\n");
    tick(100);
    BOOST_TEST(watcher.receive() == "");
    BOOST_TEST(!watcher.ended());
}

BOOST_AUTO_TEST_CASE(one_connection_too_many_is_told_so) {
    options.max_connections = 2;
    Peer first = enter();
    Peer second = enter();
    Peer third = server.connect();
    server.settle();
    BOOST_TEST(third.receive() == "5.0 ERROR too many connections; come back later\n");
    second.close();
    server.run_until([this] { return server.engine.session_count() <= 2; });
    third.close();
    server.run_until([this] { return server.engine.session_count() == 1; });
    (void)enter();
}

BOOST_AUTO_TEST_CASE(a_drain_says_goodbye_between_commands) {
    Peer idle = enter();
    Peer watcher = enter();
    Peer halfway = enter();
    Peer busy = enter();
    BOOST_REQUIRE(watcher.send("WATCH\n") == 6u);
    BOOST_REQUIRE(halfway.send("WRITE hal") == 9u);
    server.settle();
    drain(2);
    server.settle();
    BOOST_TEST(watcher.receive() == "2.3 END 0\n4.0 BYE restarting\n");
    BOOST_TEST(ask(busy, "COUNT\n", 2) == "2.4 COUNT 0\n4.0 BYE restarting\n");
    tick(4);
    BOOST_TEST(idle.receive() == "4.0 BYE restarting\n");
    BOOST_TEST(halfway.receive() == "");
    BOOST_TEST(ask(halfway, "f\n", 2) == "3.0 WROTE 0\n4.0 BYE restarting\n");
}

BOOST_AUTO_TEST_CASE(two_listeners_may_not_open_one_file_in_one_process) {
    start();
    worker::Board second;
    BOOST_CHECK_EXCEPTION(second.start(*context), StartupError, [this](const StartupError& error) {
        const std::string text = error.what();
        return text.find(folder / "bb") != std::string::npos &&
               text.find("two listeners") != std::string::npos;
    });
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_board_is_refused_by_its_name) {
    overwrite(folder / "bb", std::string(8192, 'x'));
    BOOST_CHECK_EXCEPTION(start(), StartupError, [this](const StartupError& error) {
        return std::string(error.what()).starts_with((folder / "bb") + ": it is not a bulletin");
    });
}

BOOST_AUTO_TEST_CASE(what_was_submitted_is_on_the_disk_when_the_service_has_stopped) {
    Peer peer = enter();
    BOOST_REQUIRE(peer.send("WRITE a\nWRITE b\n") == 16u);
    while (server.engine.request_count() < 2) server.engine.run_one();
    board.stop();
    Child other([this] {
        Store store(folder / "bb", {});
        return count(store) == 2 ? 0 : 1;
    });
    BOOST_TEST(other.exit_code() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
