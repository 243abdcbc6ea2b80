#include "worker/services/http_encoding.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

using namespace preforkd::worker::http;

namespace {

std::string choose_by_fields(const std::string& fields, bool has_gzip, bool has_brotli) {
    const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
    RequestHead head;
    BOOST_REQUIRE((parse_head(bytes, Limits{}, head).kind == HeadResult::Kind::complete));
    switch (choose_coding(head, has_gzip, has_brotli)) {
        case Coding::identity:
            return "identity";
        case Coding::gzip:
            return "gzip";
        case Coding::brotli:
            return "br";
    }
    return "?";
}

std::string choose(const std::string& accept, bool has_gzip = true, bool has_brotli = true) {
    return choose_by_fields("Accept-Encoding: " + accept + "\r\n", has_gzip, has_brotli);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_encoding)

BOOST_AUTO_TEST_CASE(weights_are_read_to_the_thousandth) {
    BOOST_TEST(read_weight("") == 1000U);
    BOOST_TEST(read_weight("q=1") == 1000U);
    BOOST_TEST(read_weight(" q=1.000 ") == 1000U);
    BOOST_TEST(read_weight("Q=0.5") == 500U);
    BOOST_TEST(read_weight("q=0.001") == 1U);
    BOOST_TEST(read_weight("q=0") == 0U);
    BOOST_TEST(read_weight("q=0.") == 0U);
    BOOST_TEST(read_weight("q=1.") == 1000U);
    for (const char* odd : {"q", "q=", "q=2", "q=1.1", "q=-1", "q=.5", "q=0.5000", "q=0,5", "q=a",
                            "x=1", "q = 1", "q=01"})
        BOOST_TEST(read_weight(odd) == 0U, odd);
}

BOOST_AUTO_TEST_CASE(the_best_of_what_is_there_is_chosen) {
    BOOST_TEST(choose("gzip, deflate, br") == "br");
    BOOST_TEST(choose("gzip, deflate, br", true, false) == "gzip");
    BOOST_TEST(choose("gzip, deflate, br", false, false) == "identity");
    BOOST_TEST(choose("gzip", true, true) == "gzip");
    BOOST_TEST(choose("GZIP") == "gzip");
    BOOST_TEST(choose("x-gzip") == "gzip");
    BOOST_TEST(choose("br;q=0.5, gzip;q=0.8") == "gzip");
    BOOST_TEST(choose("br ; q=0.8 , gzip;q=0.8") == "br");
    BOOST_TEST(choose("br;q=0, gzip") == "gzip");
    BOOST_TEST(choose("gzip;q=0") == "identity");
    BOOST_TEST(choose("gzip;q=0.5, identity") == "identity");
    BOOST_TEST(choose("gzip;q=0.5, identity;q=0.5") == "gzip");
    BOOST_TEST(choose("gzip;q=oops") == "identity");
    BOOST_TEST(choose("gzipx, xgzip, b r") == "identity");
}

BOOST_AUTO_TEST_CASE(the_star_stands_for_what_is_not_named) {
    BOOST_TEST(choose("*") == "br");
    BOOST_TEST(choose("br;q=0, *") == "gzip");
    BOOST_TEST(choose("*;q=0") == "identity");
    BOOST_TEST(choose("gzip, *;q=0") == "gzip");
    BOOST_TEST(choose("gzip;q=0.9, *;q=0.1") == "gzip");
}

BOOST_AUTO_TEST_CASE(nothing_is_asked_for_without_the_field) {
    BOOST_TEST(choose_by_fields("", true, true) == "identity");
    BOOST_TEST(choose("") == "identity");
}

BOOST_AUTO_TEST_CASE(the_list_may_span_lines) {
    BOOST_TEST(choose_by_fields("Accept-Encoding: x\r\nAccept-Encoding: gzip\r\n", true, true) ==
               "gzip");
}

BOOST_AUTO_TEST_SUITE_END()
