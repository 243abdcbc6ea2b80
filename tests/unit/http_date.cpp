#include "worker/services/http_date.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

using namespace preforkd::worker::http;

namespace {

constexpr UnixTime the_example = 784111777;  // of RFC 9110
constexpr UnixTime now = 1700000000;         // in 2023

std::string format(UnixTime time) {
    return std::string(view(format_date(time)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_date)

BOOST_AUTO_TEST_CASE(times_are_rendered_in_the_preferred_form) {
    BOOST_TEST(format(the_example) == "Sun, 06 Nov 1994 08:49:37 GMT");
    BOOST_TEST(format(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
    BOOST_TEST(format(-1) == "Wed, 31 Dec 1969 23:59:59 GMT");
    BOOST_TEST(format(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT");
    BOOST_TEST(format(4102444799) == "Thu, 31 Dec 2099 23:59:59 GMT");
    BOOST_TEST(format(INT64_MAX) == "Fri, 31 Dec 9999 23:59:59 GMT");
    BOOST_TEST(format(INT64_MIN) == "Sat, 01 Jan 0000 00:00:00 GMT");
}

BOOST_AUTO_TEST_CASE(all_three_forms_are_read) {
    BOOST_TEST(parse_date("Sun, 06 Nov 1994 08:49:37 GMT", now).value() == the_example);
    BOOST_TEST(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", now).value() == the_example);
    BOOST_TEST(parse_date("Sun Nov  6 08:49:37 1994", now).value() == the_example);
    BOOST_TEST(parse_date("Wed Nov 16 08:49:37 1994", now).value() == the_example + 10 * 86400);
    BOOST_TEST(parse_date("Sat, 31 Dec 2016 23:59:60 GMT", now).value() == 1483228800);
}

BOOST_AUTO_TEST_CASE(what_was_rendered_is_read_back) {
    for (UnixTime time = -62000000000; time < 250000000000; time += 86400 * 97 + 12345)
        BOOST_TEST(parse_date(format(time), now).value_or(-1) == time);
}

BOOST_AUTO_TEST_CASE(a_year_of_two_digits_is_at_most_50_years_ahead) {
    const auto year = [](const char* digits) {
        const auto time =
            parse_date("Monday, 01-Jan-" + std::string(digits) + " 00:00:00 GMT", now);
        return format(time.value()).substr(12, 4);
    };
    BOOST_TEST(year("23") == "2023");
    BOOST_TEST(year("73") == "2073");
    BOOST_TEST(year("74") == "1974");
    BOOST_TEST(year("99") == "1999");
    BOOST_TEST(year("00") == "2000");
}

BOOST_AUTO_TEST_CASE(anything_else_is_no_date) {
    for (const char* odd : {"",
                            "0",
                            "Sun",
                            "Sun, 06 Nov 1994 08:49:37",
                            "Sun, 06 Nov 1994 08:49:37 UTC",
                            "Sun, 06 Nov 1994 08:49:37 GMT ",
                            " Sun, 06 Nov 1994 08:49:37 GMT",
                            "Sun, 6 Nov 1994 08:49:37 GMT",
                            "Sun, 06 nov 1994 08:49:37 GMT",
                            "Xyz, 06 Nov 1994 08:49:37 GMT",
                            "Sun, 31 Feb 1994 08:49:37 GMT",
                            "Sun, 00 Nov 1994 08:49:37 GMT",
                            "Sun, 06 Nov 1994 24:00:00 GMT",
                            "Sun, 06 Nov 1994 08:60:00 GMT",
                            "Sun, 06 Nov 1994 08:49:61 GMT",
                            "Sun, 06 Nov 94 08:49:37 GMT",
                            "Sunday, 06-Nov-1994 08:49:37 GMT",
                            "Sun Nov 06  08:49:37 1994",
                            "Sun Nov  6 08:49:37 1994 GMT",
                            "Sun Nov  6 08:49:37 94",
                            "784111777",
                            "Sun, 06 Nov +994 08:49:37 GMT",
                            "Sun, 06 Nov 1994 08:49:37 GMT, x"})
        BOOST_TEST(!parse_date(odd, now).has_value(), odd);
}

BOOST_AUTO_TEST_SUITE_END()
