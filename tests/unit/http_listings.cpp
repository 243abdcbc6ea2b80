#include <boost/test/unit_test.hpp>

#include "worker/services/http_responder.hpp"

using namespace preforkd;
using namespace preforkd::worker::http;

namespace {

const TimePoint made{std::chrono::hours(1)};

std::shared_ptr<const Page> page(const std::string& content) {
    return std::make_shared<const Page>(make_page("text/html", content, ""));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_listings)

BOOST_AUTO_TEST_CASE(a_list_is_kept_as_long_as_files_are_taken_for_unchanged) {
    Listings listings;
    const auto list = page("a");
    BOOST_TEST((listings.fresh("", made) == nullptr));
    listings.keep("a", list, made);
    BOOST_TEST((listings.fresh("a", made) == list));
    BOOST_TEST((listings.fresh("", made) == nullptr));
    BOOST_TEST((listings.fresh("b", made) == nullptr));
    const TimePoint stale = made + Files::freshness;
    BOOST_TEST((listings.fresh("a", stale - milliseconds(1)) == list));
    BOOST_TEST((listings.fresh("a", stale) == nullptr));
    const auto renewed = page("a, anew");
    listings.keep("a", renewed, stale);
    BOOST_TEST((listings.fresh("a", stale) == renewed));
}

BOOST_AUTO_TEST_CASE(memory_for_lists_is_bounded) {
    Listings listings;
    listings.keep("huge", page(std::string(3U << 20, 'x')), made);
    BOOST_TEST((listings.fresh("huge", made) == nullptr));
    for (int i = 0; i < 100; ++i) listings.keep(std::to_string(i), page("x"), made);
    int kept = 0;
    for (int i = 0; i < 100; ++i) kept += listings.fresh(std::to_string(i), made) != nullptr;
    BOOST_TEST(kept == 4);
    BOOST_TEST((listings.fresh("99", made) != nullptr));
}

BOOST_AUTO_TEST_SUITE_END()
