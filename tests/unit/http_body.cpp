#include "worker/services/http_body.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

using namespace preforkd::worker::http;
using namespace std::string_literals;

namespace {

RequestHead chunked() {
    RequestHead head;
    head.body = BodyKind::chunked;
    return head;
}

RequestHead with_length(std::uint64_t length) {
    RequestHead head;
    head.body = BodyKind::length;
    head.content_length = length;
    return head;
}

// The verdict on `bytes` handed over in two pieces.
BodyResult consume_split(BodyReader reader, std::string_view bytes, std::size_t at) {
    BodyResult first = reader.consume(bytes.substr(0, at));
    if (first.kind != BodyResult::Kind::incomplete) return first;
    BOOST_TEST(first.consumed == at);
    BodyResult second = reader.consume(bytes.substr(at));
    second.consumed += first.consumed;
    return second;
}

// The verdict on the whole, after checking that no split changes it.
BodyResult consume(const BodyReader& reader, const std::string& bytes) {
    BodyReader whole = reader;
    const BodyResult result = whole.consume(bytes);
    for (std::size_t at = 0; at <= bytes.size(); ++at) {
        const BodyResult split = consume_split(reader, bytes, at);
        if (split.kind != result.kind || split.consumed != result.consumed ||
            split.refusal.status != result.refusal.status ||
            std::string_view(split.refusal.why) != result.refusal.why)
            BOOST_ERROR("split at " << at << " it is judged differently: " << bytes);
    }
    BodyReader slow = reader;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        const BodyResult step = slow.consume(std::string_view(bytes).substr(at, 1));
        if (step.kind == BodyResult::Kind::incomplete) continue;
        BOOST_TEST((step.kind == result.kind));
        BOOST_TEST(at + 1 == result.consumed);
        break;
    }
    return result;
}

void complete(const RequestHead& head, const std::string& body) {
    BOOST_TEST_CONTEXT(body) {
        const BodyResult result = consume(BodyReader(head, 1000), body + "GET /next");
        BOOST_TEST((result.kind == BodyResult::Kind::complete));
        BOOST_TEST(result.consumed == body.size());
    }
}

void refused(const std::string& body, unsigned status, const std::string& why) {
    BOOST_TEST_CONTEXT(body) {
        const BodyResult result = consume(BodyReader(chunked(), 1000), body);
        BOOST_TEST((result.kind == BodyResult::Kind::refused));
        BOOST_TEST(code(result.refusal.status) == status);
        BOOST_TEST(result.refusal.why == why);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_body)

BOOST_AUTO_TEST_CASE(no_body_is_complete_at_once) {
    BOOST_TEST((BodyReader(RequestHead{}, 0).consume("GET").kind == BodyResult::Kind::complete));
    BOOST_TEST(BodyReader(RequestHead{}, 0).consume("GET").consumed == 0U);
}

BOOST_AUTO_TEST_CASE(content_of_a_length_ends_there) {
    complete(with_length(5), "a\r\n\0b"s);
    BodyReader reader(with_length(5), 1000);
    const BodyResult result = reader.consume("abc");
    BOOST_TEST((result.kind == BodyResult::Kind::incomplete));
    BOOST_TEST(result.consumed == 3U);
    BOOST_TEST(reader.content_taken() == 3U);
}

BOOST_AUTO_TEST_CASE(a_length_beyond_the_limit_is_413_at_once) {
    BodyReader reader(with_length(1001), 1000);
    const BodyResult result = reader.consume("");
    BOOST_TEST((result.kind == BodyResult::Kind::refused));
    BOOST_TEST((result.refusal.status == Status::content_too_large));
}

BOOST_AUTO_TEST_CASE(chunks_end_with_the_empty_one) {
    complete(chunked(), "0\r\n\r\n");
    complete(chunked(), "000\r\n\r\n");
    complete(chunked(), "3\r\nabc\r\n0\r\n\r\n");
    complete(chunked(), "A\r\n0123456789\r\n00b\r\n0123\r\n\r\n\r\n9\r\n0\r\n\r\n");
    complete(chunked(), "3;name=value\r\nabc\r\n0;last;x=\"y\tz\"\r\n\r\n");
    complete(chunked(), "3;\r\nabc\r\n0\r\n\r\n");
    complete(chunked(), "0\r\nExpires: never\r\nX:\r\n\r\n");
    complete(chunked(), "0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(chunks_that_could_be_read_two_ways_are_refused) {
    const char* const size = "malformed chunk size";
    for (const char* odd :
         {"\r\n\r\n", "0x3\r\n", "+3\r\n", "-3\r\n", " 3\r\n", "3 \r\n", "3\t\r\n", "3 ;a\r\n",
          "3_0\r\n", "g\r\n", "3\n", "\n", ";a\r\n", "3,3\r\n", "3.0\r\n"})
        refused(odd, 400, size);
    refused("3\0\r\n"s, 400, size);
    refused("3\r\r\n", 400, "bare CR after a chunk size");
    refused("3\rabc", 400, "bare CR after a chunk size");
    refused("00000000000000003\r\nabc", 400, "chunk size too long");
    refused("10000000000000003\r\nabc", 400, "chunk size too long");
    refused("3\r\nabcd\r\n", 400, "chunk longer than its size");
    refused("3\r\nabc\n", 400, "chunk longer than its size");
    refused("3\r\nabc0\r\n", 400, "chunk longer than its size");
    refused("3\r\nabc\rX", 400, "bare CR after a chunk");
    refused("3;a\nabc", 400, "forbidden character in a chunk extension");
    refused("3;a\x01\r\nabc", 400, "forbidden character in a chunk extension");
    refused("3;a\xff\r\nabc", 400, "forbidden character in a chunk extension");
    refused("3;a\r;\nabc", 400, "bare CR after a chunk size");
}

BOOST_AUTO_TEST_CASE(trailers_obey_the_rules_of_fields) {
    const char* const name = "malformed trailer name";
    refused("0\r\n: x\r\n\r\n", 400, name);
    refused("0\r\nX : y\r\n\r\n", 400, name);
    refused("0\r\n X: y\r\n\r\n", 400, name);
    refused("0\r\nX: y\r\n z\r\n\r\n", 400, name);
    refused("0\r\nX\r\n\r\n", 400, name);
    refused("0\r\nGET / HTTP/1.1\r\n", 400, name);
    refused("0\r\n\n", 400, name);
    refused("0\r\nX: y\n\r\n", 400, "control character or bare LF in a trailer");
    refused("0\r\nX: \0\r\n\r\n"s, 400, "control character or bare LF in a trailer");
    refused("0\r\nX: y\rZ\r\n", 400, "bare CR in a trailer");
    refused("0\r\n\r\r\n", 400, "bare CR after the trailers");
}

BOOST_AUTO_TEST_CASE(content_in_chunks_is_bounded) {
    const char* const why = "content longer than max_body";
    const std::string thousand(1000, 'x');
    complete(chunked(), "3e8\r\n" + thousand + "\r\n0\r\n\r\n");
    refused("3e9\r\n", 413, why);
    refused("3e8\r\n" + thousand + "\r\n1\r\n", 413, why);
    refused("ffffffffffffffff\r\n", 413, why);
    refused("3\r\nabc\r\nfffffffffffffffe\r\n", 413, why);
}

BOOST_AUTO_TEST_CASE(extensions_and_trailers_are_bounded) {
    const char* const why = "too much in chunk extensions and trailers";
    const auto judge = [](const std::string& body) {
        return BodyReader(chunked(), 100000).consume(body).refusal.why;
    };
    const std::string much(BodyReader::overhead_limit, 'a');
    BOOST_TEST(judge("1;" + much + "\r\n") == why);
    BOOST_TEST(judge("0\r\nX: " + much + "\r\n\r\n") == why);
    std::string many_chunks;
    for (int i = 0; i < 200; ++i) many_chunks += "1;" + std::string(100, 'a') + "\r\nx\r\n";
    BOOST_TEST(judge(many_chunks) == why);
    std::string many_trailers = "0\r\n";
    for (int i = 0; i < 5000; ++i) many_trailers += "A:\r\n";
    BOOST_TEST(judge(many_trailers) == why);
    std::string plain_chunks;
    for (int i = 0; i < 20000; ++i) plain_chunks += "1\r\nx\r\n";
    BOOST_TEST(judge(plain_chunks + "0\r\n\r\n") == "");
}

BOOST_AUTO_TEST_SUITE_END()
