#include <boost/test/unit_test.hpp>

#include "bench/load/board_reply.hpp"
#include "bench/load/plain_reply.hpp"
#include "bench/load/redis_reply.hpp"
#include "bench_replies.hpp"

using namespace preforkd::bench;

namespace {

std::vector<std::string> words_for(const std::vector<Reply>& replies) {
    std::vector<std::string> words;
    for (const Reply& reply : replies) words.push_back(word_for(reply));
    return words;
}

using Words = std::vector<std::string>;

struct BoardCase {
    const char* command;
    std::string bytes;  // after the greeting
    Words words;
};

const std::vector<BoardCase> board_cases = {
    {"READ {n}", "2.0 MESSAGE 17 nobody/hello\n", {"ok"}},
    {"READ {n}", "2.0 MESSAGE 18 nobody/hello\n", {"wrong_content"}},
    {"READ {n}", "2.0 MESSAGE 17\n", {"wrong_content"}},
    {"READ {n}", "2.1 UNKNOWN 17 no such message\n", {"bad_status"}},
    {"READ 5", "2.0 MESSAGE 5 a/b\n2.0 MESSAGE 5 a/b\n", {"ok", "ok"}},
    {"READ {n}", "4.0 BYE restarting\n", {"end_of_stream"}},
    {"WRITE hello", "3.0 WROTE 4\n", {"ok"}},
    {"WRITE hello", "3.2 ERROR WRITE disk full\n", {"bad_status"}},
    {"REPLACE 3/x", "3.0 WROTE 3\n3.1 UNKNOWN 3 none\n", {"ok", "bad_status"}},
    {"COUNT", "2.4 COUNT 12\n", {"ok"}},
    {"LIST 1 2", "2.0 MESSAGE 1 a/b\n2.0 MESSAGE 2 a/b\n2.3 END 2\n2.3 END 0\n", {"ok", "ok"}},
    {"USER alice", "1.0 HELLO alice welcome\n", {"ok"}},
    {"READ {n}", "garbage\n", {"bad_status"}},
    {"READ {n}", "2.0 MESSAGE 17 nobody/he", {}},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_line_replies)

BOOST_AUTO_TEST_CASE(board_replies_are_judged_by_their_code_and_number_however_split) {
    for (const BoardCase& one : board_cases) {
        const std::string stream = "0.0 welcome\n" + one.bytes;
        Words expected = one.words;
        expected.insert(expected.begin(), "ok");
        for (std::size_t split = 0; split <= stream.size(); ++split) {
            BoardReplyReader reader(one.command);
            BOOST_TEST(words_for(replies_in(reader, stream, split, 17)) == expected,
                       one.command << " answered by " << one.bytes << " split at " << split);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_board_that_does_not_greet_is_not_a_board) {
    BoardReplyReader reader("READ {n}");
    BOOST_TEST(words_for(replies_in(reader, "2.0 MESSAGE 17 nobody/hello\n", 5, 17)) ==
               Words{"bad_status"});
}

BOOST_AUTO_TEST_CASE(a_board_says_goodbye_to_an_idle_client_in_words) {
    const BoardReplyReader reader("READ {n}");
    BOOST_TEST(reader.is_farewell("4.0 BYE restarting\n"));
    BOOST_TEST(!reader.is_farewell("2.0 MESSAGE 1 a/b\n"));
}

BOOST_AUTO_TEST_CASE(redis_replies_of_every_type_are_framed_however_split) {
    const std::vector<std::pair<std::string, Words>> cases = {
        {"+OK\r\n", {"ok"}},
        {":12\r\n+OK\r\n", {"ok", "ok"}},
        {"-ERR unknown command\r\n", {"bad_status"}},
        {"$5\r\nhello\r\n", {"ok"}},
        {"$0\r\n\r\n", {"ok"}},
        {"$7\r\nhe\r\nllo\r\n$1\r\nx\r\n", {"ok", "ok"}},
        {"$-1\r\n", {"wrong_content"}},
        {"*2\r\n$1\r\na\r\n:3\r\n+OK\r\n", {"ok", "ok"}},
        {"*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n+OK\r\n", {"ok", "ok"}},
        {"*0\r\n", {"ok"}},
        {"hello\r\n", {"bad_status"}},
        {"$5\r\nhel", {}},
    };
    for (const auto& [bytes, words] : cases) {
        for (std::size_t split = 0; split <= bytes.size(); ++split) {
            const Expectation expectation;
            RedisReplyReader reader(expectation);
            BOOST_TEST(words_for(replies_in(reader, bytes, split)) == words,
                       bytes << " split at " << split);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_redis_value_of_other_bytes_is_wrong_content) {
    Expectation expectation;
    expectation.content = "hello";
    RedisReplyReader reader(expectation);
    BOOST_TEST(words_for(replies_in(reader, "$5\r\nhellO\r\n$5\r\nhello\r\n", 8)) ==
               (Words{"wrong_content", "ok"}));
}

BOOST_AUTO_TEST_CASE(an_echo_is_compared_byte_by_byte_however_split) {
    Expectation expectation;
    expectation.content = "abcde";
    for (std::size_t split = 0; split <= 10; ++split) {
        FixedReplyReader reader(expectation, 5);
        BOOST_TEST(words_for(replies_in(reader, "abcdeabcdf", split)) ==
                   (Words{"ok", "wrong_content"}));
        BOOST_TEST(!reader.inside_reply());
    }
}

BOOST_AUTO_TEST_CASE(raw_replies_end_with_their_line_feed_however_split) {
    const std::string stream = "one\ntwo\nthr";
    for (std::size_t split = 0; split <= stream.size(); ++split) {
        const Expectation expectation;
        LineReplyReader reader(expectation);
        BOOST_TEST(words_for(replies_in(reader, stream, split)) == (Words{"ok", "ok"}));
        BOOST_TEST(reader.inside_reply());
    }
}

BOOST_AUTO_TEST_SUITE_END()
