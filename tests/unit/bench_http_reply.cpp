#include "bench/load/http_reply.hpp"

#include <boost/test/unit_test.hpp>

#include "bench_replies.hpp"

using namespace preforkd::bench;

namespace {

struct Case {
    const char* about;
    std::string bytes;
    std::vector<std::string> words;  // one for each reply found
};

const std::vector<Case> cases = {
    {"a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", {"ok"}},
    {"no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", {"ok"}},
    {"no reason phrase", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", {"ok"}},
    {"odd case and blanks", "HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh:   2\r\n\r\nhi", {"ok"}},
    {"two in a row",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
     {"ok", "ok"}},
    {"a close",
     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
     {"ok, closes"}},
    {"a close among others",
     "HTTP/1.1 200 OK\r\nconnection: foo , Close\r\nContent-Length: 2\r\n\r\nhi",
     {"ok, closes"}},
    {"a word that only begins like close",
     "HTTP/1.1 200 OK\r\nConnection: closed\r\nContent-Length: 2\r\n\r\nhi",
     {"ok"}},
    {"HTTP/1.0 closes", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", {"ok, closes"}},
    {"HTTP/1.0 that stays",
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
     {"ok"}},
    {"chunks",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
     "chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
     {"ok"}},
    {"chunks with a trailer",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n",
     {"ok"}},
    {"a bad chunk size",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
     {"bad_status"}},
    {"a chunk without its end",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
     {"bad_status"}},
    {"an interim answer first",
     "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
     {"ok"}},
    {"not found", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", {"bad_status"}},
    {"not found, then right",
     "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: "
     "0\r\n\r\n",
     {"bad_status", "ok"}},
    {"not modified has no body",
     "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
     {"bad_status"}},
    {"not HTTP", "+OK\r\n\r\n", {"bad_status"}},
    {"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nhi", {"bad_status"}},
    {"a status that is none", "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", {"bad_status"}},
    {"an answer not yet whole", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", {}},
};

std::vector<std::string> words_for(const std::vector<Reply>& replies) {
    std::vector<std::string> words;
    for (const Reply& reply : replies) words.push_back(word_for(reply));
    return words;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_http_reply)

BOOST_AUTO_TEST_CASE(replies_are_the_same_however_their_bytes_are_split) {
    for (const Case& one : cases) {
        for (std::size_t split = 0; split <= one.bytes.size(); ++split) {
            const Expectation expectation;
            HttpReplyReader reader(expectation, false);
            const auto words = words_for(replies_in(reader, one.bytes, split));
            BOOST_TEST(words == one.words, one.about << ", split at " << split);
        }
    }
}

BOOST_AUTO_TEST_CASE(it_knows_when_it_is_inside_an_answer) {
    const Expectation expectation;
    const std::string bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    HttpReplyReader reader(expectation, false);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        BOOST_TEST(reader.inside_reply() == (i > 0));
        std::optional<Reply> reply;
        reader.read(bytes.substr(i, 1), 0, reply);
        BOOST_TEST(reply.has_value() == (i + 1 == bytes.size()));
    }
    BOOST_TEST(!reader.inside_reply());
}

BOOST_AUTO_TEST_CASE(a_body_without_length_ends_with_the_stream) {
    const Expectation expectation;
    HttpReplyReader reader(expectation, false);
    std::optional<Reply> reply;
    reader.read("HTTP/1.1 200 OK\r\n\r\nsome", 0, reply);
    BOOST_TEST(!reply.has_value());
    BOOST_TEST(reader.ends_with_stream());
    reply = reader.at_end_of_stream();
    BOOST_REQUIRE(reply.has_value());
    BOOST_TEST(word_for(*reply) == "ok, closes");
}

BOOST_AUTO_TEST_CASE(the_end_of_the_stream_does_not_complete_an_answer_that_has_a_length) {
    const Expectation expectation;
    HttpReplyReader reader(expectation, false);
    std::optional<Reply> reply;
    reader.read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome", 0, reply);
    BOOST_TEST(!reader.at_end_of_stream().has_value());
    BOOST_TEST(reader.inside_reply());
}

BOOST_AUTO_TEST_CASE(answers_to_HEAD_have_no_body) {
    const Expectation expectation;
    HttpReplyReader reader(expectation, true);
    const std::string bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    BOOST_TEST(words_for(replies_in(reader, bytes + bytes, 7)) ==
               (std::vector<std::string>{"ok", "ok"}));
}

BOOST_AUTO_TEST_CASE(a_body_of_another_length_is_wrong_content) {
    Expectation expectation;
    expectation.length = 5;
    HttpReplyReader reader(expectation, false);
    const auto replies = replies_in(reader,
                                    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell"
                                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                                    3);
    BOOST_TEST(words_for(replies) == (std::vector<std::string>{"wrong_content", "ok"}));
}

BOOST_AUTO_TEST_CASE(one_wrong_byte_is_wrong_content_wherever_the_body_is_split) {
    Expectation expectation;
    expectation.content = "hello";
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    for (std::size_t split = 0; split <= 2 * head.size() + 10; ++split) {
        HttpReplyReader reader(expectation, false);
        const auto replies = replies_in(reader, head + "hellO" + head + "hello", split);
        BOOST_TEST(words_for(replies) == (std::vector<std::string>{"wrong_content", "ok"}));
    }
}

BOOST_AUTO_TEST_CASE(a_body_longer_than_the_expected_content_is_wrong_and_harmless) {
    Expectation expectation;
    expectation.content = "hi";
    HttpReplyReader reader(expectation, false);
    const auto replies =
        replies_in(reader, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi hi", 39);
    BOOST_TEST(words_for(replies) == std::vector<std::string>{"wrong_content"});
}

BOOST_AUTO_TEST_CASE(another_status_can_be_the_right_one) {
    Expectation expectation;
    expectation.status = 304;
    HttpReplyReader reader(expectation, false);
    BOOST_TEST(words_for(replies_in(reader, "HTTP/1.1 304 Not Modified\r\n\r\n", 0)) ==
               std::vector<std::string>{"ok"});
}

BOOST_AUTO_TEST_CASE(the_generation_is_read_from_the_named_field_only) {
    Expectation expectation;
    expectation.generation_header = "x-generation";
    HttpReplyReader reader(expectation, false);
    const auto replies =
        replies_in(reader,
                   "HTTP/1.1 200 OK\r\nX-Generation: 17\r\nContent-Length: 0\r\n\r\n"
                   "HTTP/1.1 200 OK\r\nX-Other: 3\r\nContent-Length: 0\r\n\r\n",
                   20);
    BOOST_REQUIRE(replies.size() == 2U);
    BOOST_TEST(replies[0].generation == 17U);
    BOOST_TEST(replies[1].generation == 0U);
}

BOOST_AUTO_TEST_CASE(an_endless_head_is_refused) {
    const Expectation expectation;
    HttpReplyReader reader(expectation, false);
    std::optional<Reply> reply;
    const std::string line = "X: " + std::string(1000, 'x') + "\r\n";
    reader.read("HTTP/1.1 200 OK\r\n", 0, reply);
    for (int i = 0; i < 100 && !reply; ++i) reader.read(line, 0, reply);
    BOOST_REQUIRE(reply.has_value());
    BOOST_TEST(word_for(*reply) == "bad_status");
}

BOOST_AUTO_TEST_CASE(an_unasked_for_408_is_a_farewell) {
    const Expectation expectation;
    const HttpReplyReader reader(expectation, false);
    BOOST_TEST(reader.is_farewell("HTTP/1.0 408 Request Time-out\r\nConnection: close\r\n\r\n"));
    BOOST_TEST(!reader.is_farewell("HTTP/1.1 200 OK\r\n\r\n"));
    BOOST_TEST(!reader.is_farewell(""));
}

BOOST_AUTO_TEST_SUITE_END()
