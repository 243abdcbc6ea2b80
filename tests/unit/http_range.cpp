#include "worker/services/http_range.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>
#include <string>

using namespace preforkd::worker::http;

namespace {

// "200", "416" or the ranges: "0-4 6-6".
std::string read(const std::string& field, std::uint64_t size = 100) {
    RangeSet set;
    switch (read_ranges(field, size, set)) {
        case RangeVerdict::whole:
            return "200";
        case RangeVerdict::unsatisfiable:
            return "416";
        case RangeVerdict::partial:
            break;
    }
    std::string text;
    for (const ByteRange& range : set.view())
        text += (text.empty() ? "" : " ") + std::to_string(range.first) + "-" +
                std::to_string(range.last);
    return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_range)

BOOST_AUTO_TEST_CASE(single_ranges_are_cut_to_the_file) {
    BOOST_TEST(read("bytes=0-0") == "0-0");
    BOOST_TEST(read("bytes=0-99") == "0-99");
    BOOST_TEST(read("bytes=10-") == "10-99");
    BOOST_TEST(read("bytes=90-1000") == "90-99");
    BOOST_TEST(read("bytes=-5") == "95-99");
    BOOST_TEST(read("bytes=-1000") == "0-99");
    BOOST_TEST(read("BYTES= 1-2 ") == "1-2");
    BOOST_TEST(read("bytes=0-99999999999999999999999") == "0-99");
    BOOST_TEST(read("bytes=-99999999999999999999999") == "0-99");
}

BOOST_AUTO_TEST_CASE(what_lies_beyond_the_end_is_416) {
    BOOST_TEST(read("bytes=100-") == "416");
    BOOST_TEST(read("bytes=100-200,300-400") == "416");
    BOOST_TEST(read("bytes=99999999999999999999999-") == "416");
    BOOST_TEST(read("bytes=-0") == "416");
    BOOST_TEST(read("bytes=0-", 0) == "416");
    BOOST_TEST(read("bytes=100-,0-1") == "0-1");
}

// RFC 9110 §14.1.2 calls it satisfiable, and then no Content-Range can name what is sent.
BOOST_AUTO_TEST_CASE(the_last_bytes_of_an_empty_file_are_the_file) {
    BOOST_TEST(read("bytes=-5", 0) == "200");
    BOOST_TEST(read("bytes=0-,-5", 0) == "200");
}

BOOST_AUTO_TEST_CASE(what_is_malformed_is_ignored) {
    for (const char* odd : {"",
                            "bytes",
                            "bytes=",
                            "bytes=,",
                            "items=0-1",
                            "bytes 0-1",
                            "bytes=-",
                            "bytes=5-4",
                            "bytes=a-b",
                            "bytes=1",
                            "bytes=1-2-3",
                            "bytes=--1",
                            "bytes=+1-2",
                            "bytes=1 - 2",
                            "bytes=0x1-2",
                            "bytes=1-2;3-4",
                            "bytes=0-1,x",
                            "bytes=0-1,5-4",
                            "bytes =0-1",
                            "bytes=1.0-2"})
        BOOST_TEST(read(odd) == "200", odd);
}

BOOST_AUTO_TEST_CASE(sets_keep_the_order_of_the_request) {
    BOOST_TEST(read("bytes=0-4, 6-6 ,,-1") == "0-4 6-6 99-99");
    BOOST_TEST(read("bytes=50-59,0-9") == "50-59 0-9");
    BOOST_TEST(read("bytes=0-9,5-14") == "0-9 5-14");
}

BOOST_AUTO_TEST_CASE(sets_that_cost_more_than_the_file_get_the_file) {
    BOOST_TEST(read("bytes=0-,0-") == "200");
    BOOST_TEST(read("bytes=0-59,40-99") == "200");
    BOOST_TEST(read("bytes=0-49,50-99") == "0-49 50-99");
    BOOST_TEST(read("bytes=0-49,50-99,0-0") == "200");
    std::string many = "bytes=0-0";
    for (int i = 1; i < 16; ++i) many += "," + std::to_string(i) + "-" + std::to_string(i);
    BOOST_TEST(read(many).substr(0, 7) == "0-0 1-1");
    BOOST_TEST(read(many + ",20-20") == "200");
    BOOST_TEST(read(many + ",1000-1000") == "200");
    BOOST_TEST(read("bytes=0-18446744073709551615,0-18446744073709551615", UINT64_MAX) == "200");
}

// The worst that can be had: 16 parts, and all bytes of the file, or the smallest parts of it.
BOOST_AUTO_TEST_CASE(a_multipart_costs_at_most_16_part_heads_more_than_the_file) {
    const std::string type(80, 't');
    const std::string boundary(32, 'b');
    constexpr std::size_t names =
        sizeof "\r\n--\r\nContent-Type: \r\nContent-Range: bytes -/\r\n\r\n";
    std::mt19937_64 random(1);
    std::size_t partial = 0;
    std::uint64_t most_overhead = 0;
    for (const std::uint64_t size : {1ULL, 2ULL, 16ULL, 17ULL, 1000ULL, 1ULL << 33, ~0ULL >> 1}) {
        const std::size_t part_head =
            names + type.size() + boundary.size() + 3 * std::to_string(size).size();
        const auto bounded = [&](const std::string& field) {
            RangeSet set;
            if (read_ranges(field, size, set) != RangeVerdict::partial) return;
            ++partial;
            BOOST_TEST(set.count <= RangeSet::capacity, field);
            std::uint64_t sum = 0;
            for (const ByteRange& range : set.view()) sum += range.length();
            BOOST_TEST(sum <= size, field);
            const Multipart multipart(type, boundary, size, set);
            const std::uint64_t overhead = multipart.content_length() - sum;
            BOOST_TEST(overhead <= 17 * part_head, field);
            most_overhead = std::max(most_overhead, overhead);
        };
        for (int round = 0; round < 2000; ++round) {
            std::string field = "bytes=";
            for (std::uint64_t count = 1 + random() % 20, i = 0; i < count; ++i) {
                const std::uint64_t first = random() % size;
                const std::uint64_t last = first + random() % (1 + size / (1 + random() % 40));
                field += (i == 0 ? "" : ",") + std::to_string(first) + "-" + std::to_string(last);
            }
            bounded(field);
        }
        std::string tiny = "bytes=0-0", whole = "bytes=";
        for (int i = 1; i < 16; ++i) tiny += ",0-0";  // the same byte again and again
        for (std::uint64_t i = 0; i < 16; ++i)
            whole += (i == 0 ? "" : ",") + std::to_string(size / 16 * i) + "-" +
                     (i == 15 ? "" : std::to_string(size / 16 * (i + 1) - 1));
        bounded(tiny);
        bounded(whole);
    }
    BOOST_TEST(partial > 1000U);
    BOOST_TEST(most_overhead > 16 * (type.size() + boundary.size()));
}

BOOST_AUTO_TEST_CASE(ranges_beyond_32_bits_are_exact) {
    constexpr std::uint64_t size = 5'000'000'000'000;
    BOOST_TEST(read("bytes=2147483647-2147483648", size) == "2147483647-2147483648");
    BOOST_TEST(read("bytes=4294967295-4294967296", size) == "4294967295-4294967296");
    BOOST_TEST(read("bytes=-1", size) == "4999999999999-4999999999999");
    BOOST_TEST(content_range({4294967295, 4294967296}, size) ==
               "bytes 4294967295-4294967296/5000000000000");
}

BOOST_AUTO_TEST_CASE(a_multipart_body_has_the_length_that_it_says) {
    RangeSet set;
    BOOST_TEST((read_ranges("bytes=0-1,98-", 100, set) == RangeVerdict::partial));
    const Multipart multipart("text/plain", "BOUNDARY", 100, set);
    const std::string body =
        multipart.part_head(0) + "ab" + multipart.part_head(1) + "yz" + multipart.closing();
    BOOST_TEST(body ==
               "--BOUNDARY\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/100\r\n\r\nab"
               "\r\n--BOUNDARY\r\nContent-Type: text/plain\r\nContent-Range: bytes 98-99/100\r\n"
               "\r\nyz\r\n--BOUNDARY--\r\n");
    BOOST_TEST(multipart.content_length() == body.size());
}

BOOST_AUTO_TEST_SUITE_END()
