#include "shared/file_copies.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

using namespace preforkd;

namespace {

std::string text_of(const std::vector<FileCopy>& copies) {
    std::string text;
    for (const FileCopy& copy : copies)
        text += std::to_string(copy.section) + " " + copy.key + " " + std::to_string(copy.number) +
                " [" + std::string(copy.content) + "]\n";
    return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(file_copies)

BOOST_AUTO_TEST_CASE(copies_come_out_as_they_went_in) {
    const std::string odd("\n\n\0 1 2 3\n\n", 11);
    const std::vector<FileCopy> copies = {
        {0, "page", 0, "first"}, {0, "page", 1, ""}, {7, "types", 0, odd}, {8, "page", 0, "\n"}};
    const auto decoded = decode_copies(encode_copies(copies));
    BOOST_REQUIRE(decoded.has_value());
    BOOST_TEST(text_of(*decoded) == text_of(copies));
    BOOST_TEST(decode_copies(encode_copies({})).value().empty());
}

BOOST_AUTO_TEST_CASE(a_file_that_many_name_is_there_once) {
    const std::string types(100'000, 'x');
    std::vector<FileCopy> copies;
    for (unsigned section = 0; section < 100; ++section)
        copies.push_back({section, "types", 0, types});
    const std::string text = encode_copies(copies);
    BOOST_TEST(text.size() < 110'000u);
    BOOST_TEST(text_of(decode_copies(text).value()) == text_of(copies));
}

BOOST_AUTO_TEST_CASE(what_was_not_encoded_is_refused) {
    for (const char* const text :
         {"", "0 page 0 0 1", "0 page 0 0 1\n", "0 page 0 0 2\n\nx", "0 page 0 2 0\n\nx",
          "0 page 0 1 18446744073709551615\n\nx", "-1 page 0 0 1\n\nx", "0 page 0 0\n\nx",
          "0 page 0 0 1 1\n\nx", "0 page  0 0 1\n\nx", "4294967296 page 0 0 1\n\nx"})
        BOOST_TEST(!decode_copies(text).has_value(), text);
}

BOOST_AUTO_TEST_SUITE_END()
