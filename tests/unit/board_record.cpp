#include "worker/services/board_record.hpp"

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>

using namespace preforkd::worker::board;

namespace {

std::string record_of(std::uint64_t number, const std::string& text) {
    std::string record(record_overhead + text.size(), '\0');
    encode_record(number, text, record.data());
    return record;
}

/// The checksum of `bytes`, whose first eight are taken as the number.
template <class Checksum>
std::uint32_t checksum_of(const std::string& bytes, Checksum checksum) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof number; ++i)
        number |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return checksum(number, std::string_view(bytes).substr(sizeof number));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(board_record)

BOOST_AUTO_TEST_CASE(the_checksum_is_crc32c_as_rfc_3720_gives_it) {
    std::string rising(32, '\0');
    for (std::size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<char>(i);
    const std::string falling(rising.rbegin(), rising.rend());
    for (const auto checksum : {record_checksum, record_checksum_by_table}) {
        BOOST_TEST(checksum_of("123456789", checksum) == 0xe3069283u);
        BOOST_TEST(checksum_of(std::string(32, '\0'), checksum) == 0x8a9136aau);
        BOOST_TEST(checksum_of(std::string(32, '\xff'), checksum) == 0x62a8ab43u);
        BOOST_TEST(checksum_of(rising, checksum) == 0x46dd794eu);
        BOOST_TEST(checksum_of(falling, checksum) == 0x113fdb5cu);
    }
}

BOOST_AUTO_TEST_CASE(instruction_and_table_agree_on_every_length_and_alignment) {
    std::string text;
    for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
    for (std::size_t from = 0; from < 9; ++from)
        for (std::size_t length = 0; length < text.size() - from; ++length) {
            const auto part = std::string_view(text).substr(from, length);
            BOOST_REQUIRE(record_checksum(length, part) == record_checksum_by_table(length, part));
        }
}

BOOST_AUTO_TEST_CASE(a_record_gives_its_text_back) {
    for (const std::string text : {"", "a/b", "nobody/hello \xe2\x82\xac"}) {
        const auto record = record_of(17, text);
        const auto decoded = decode_record(17, record);
        BOOST_REQUIRE(decoded);
        BOOST_TEST(*decoded == text);
    }
}

BOOST_AUTO_TEST_CASE(any_flipped_bit_and_any_cut_is_found_out) {
    const auto record = record_of(5, "poster/a message of some length");
    for (std::size_t bit = 0; bit < 8 * record.size(); ++bit) {
        auto flipped = record;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        BOOST_REQUIRE(!decode_record(5, flipped));
    }
    for (std::size_t length = 0; length < record.size(); ++length)
        BOOST_REQUIRE(!decode_record(5, record.substr(0, length)));
}

BOOST_AUTO_TEST_CASE(a_good_record_under_another_number_is_found_out) {
    const auto record = record_of(5, "poster/message");
    BOOST_TEST(!decode_record(4, record));
    BOOST_TEST(!decode_record(std::uint64_t{5} << 32, record));
    BOOST_TEST(!decode_record(0, std::string(4, '\0')));
}

BOOST_AUTO_TEST_SUITE_END()
