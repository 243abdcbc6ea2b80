#include <array>
#include <boost/test/unit_test.hpp>
#include <preforkd/service.hpp>
#include <stdexcept>

#include "tests/unit/engine_fixture.hpp"

using namespace preforkd;

namespace {

struct Counting : Service {
    static std::vector<Metric> metrics() {
        return {{"hits", Metric::Kind::counter, "Hits."}, {"open", Metric::Kind::gauge, "Open."}};
    }
    task<void> serve(Connection&) override { co_return; }
};

struct ContextFixture {
    test::MemoryLog log;
    std::array<Counter, 16> counters;
    ServiceContext context{"web", {}, {}, log.logger};

    ContextFixture() { context.keep_metrics(service<Counting>("counting").metrics, counters); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(service_context, ContextFixture)

BOOST_AUTO_TEST_CASE(declared_metrics_are_found_by_name_in_their_order) {
    context.counter("hits").add(3);
    context.gauge("open").add(2);
    context.gauge("open").subtract(1);
    BOOST_TEST(counters[0].get() == 3u);
    BOOST_TEST(counters[1].get() == 1u);
}

BOOST_AUTO_TEST_CASE(a_metric_that_was_not_declared_so_is_refused_by_name) {
    const auto names = [](const std::string& name) {
        return [name](const std::logic_error& error) {
            return std::string(error.what()).find(name) != std::string::npos;
        };
    };
    BOOST_CHECK_EXCEPTION((void)context.counter("misses"), std::logic_error, names("'misses'"));
    BOOST_CHECK_EXCEPTION((void)context.gauge("hits"), std::logic_error, names("gauge 'hits'"));
    BOOST_CHECK_EXCEPTION((void)context.counter("open"), std::logic_error, names("listener 'web'"));
}

BOOST_AUTO_TEST_CASE(copies_of_files_are_found_by_key_and_number) {
    context.keep_copies({{{"page", 1}, "second"}, {{"page", 0}, ""}});
    BOOST_TEST(context.copy_of("page").value() == "");
    BOOST_TEST(context.copy_of("page", 1).value() == "second");
    BOOST_TEST(!context.copy_of("page", 2).has_value());
    BOOST_TEST(!context.copy_of("pag").has_value());
}

BOOST_AUTO_TEST_SUITE_END()
