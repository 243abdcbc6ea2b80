#include "bench/load/histogram.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

using namespace preforkd::bench;

BOOST_AUTO_TEST_SUITE(bench_histogram)

BOOST_AUTO_TEST_CASE(an_empty_one_has_only_zeros) {
    const Histogram histogram;
    BOOST_TEST(histogram.count() == 0U);
    BOOST_TEST(histogram.quantile(0.5).count() == 0);
    BOOST_TEST(histogram.min().count() == 0);
    BOOST_TEST(histogram.max().count() == 0);
    BOOST_TEST(histogram.mean().count() == 0);
}

BOOST_AUTO_TEST_CASE(every_magnitude_is_kept_within_one_percent) {
    for (unsigned power = 0; power < 62; ++power) {
        for (const std::int64_t offset : {-1, 0, 1, 12345}) {
            const std::int64_t value =
                std::max<std::int64_t>(0, (std::int64_t(1) << power) + offset);
            Histogram histogram;
            histogram.record(nanoseconds(value));
            histogram.record(nanoseconds(INT64_MAX));  // so that the first is not the maximum
            const auto found = double(histogram.quantile(0.5).count());
            BOOST_TEST(std::abs(found - double(value)) <= 0.01 * double(value));
        }
    }
}

BOOST_AUTO_TEST_CASE(quantiles_of_a_million_random_values_are_those_of_the_sorted_list) {
    std::mt19937_64 random(1);
    std::lognormal_distribution<double> spread(13, 2);  // some 100 ns to seconds
    Histogram histogram;
    std::vector<std::int64_t> values;
    for (int i = 0; i < 1'000'000; ++i) {
        values.push_back(std::int64_t(spread(random)));
        histogram.record(nanoseconds(values.back()));
    }
    std::sort(values.begin(), values.end());
    for (const double fraction : {0.0001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999}) {
        const auto exact = double(values[std::size_t(fraction * 1e6) - 1]);
        BOOST_TEST(std::abs(double(histogram.quantile(fraction).count()) - exact) <= 0.01 * exact);
    }
    BOOST_TEST(histogram.quantile(1).count() == values.back());
    BOOST_TEST(histogram.max().count() == values.back());
    BOOST_TEST(histogram.min().count() == values.front());
}

BOOST_AUTO_TEST_CASE(one_slow_request_in_a_thousand_shows_from_p99_9_up_only) {
    Histogram histogram;
    for (int i = 0; i < 9990; ++i) histogram.record(std::chrono::microseconds(100));
    for (int i = 0; i < 10; ++i) histogram.record(std::chrono::milliseconds(200));
    BOOST_TEST(histogram.quantile(0.999).count() < 110'000);
    BOOST_TEST(histogram.quantile(0.9991).count() > 198'000'000);
}

BOOST_AUTO_TEST_CASE(merging_gives_what_one_histogram_of_all_would_hold) {
    std::mt19937_64 random(2);
    Histogram all;
    Histogram parts[3];
    for (int i = 0; i < 30'000; ++i) {
        const auto value = nanoseconds(std::int64_t(random() % 10'000'000));
        all.record(value);
        parts[i % 3].record(value);
    }
    Histogram merged;
    for (const Histogram& part : parts) merged.merge(part);
    BOOST_TEST(merged.count() == all.count());
    BOOST_TEST(merged.mean().count() == all.mean().count());
    for (double fraction = 0; fraction <= 1; fraction += 0.01)
        BOOST_TEST(merged.quantile(fraction).count() == all.quantile(fraction).count());
}

BOOST_AUTO_TEST_CASE(a_clock_that_steps_back_counts_as_no_time) {
    Histogram histogram;
    histogram.record(nanoseconds(-5));
    BOOST_TEST(histogram.count() == 1U);
    BOOST_TEST(histogram.max().count() == 0);
}

BOOST_AUTO_TEST_CASE(clearing_forgets_everything) {
    Histogram histogram;
    histogram.record(nanoseconds(7));
    histogram.clear();
    BOOST_TEST(histogram.count() == 0U);
    BOOST_TEST(histogram.max().count() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
