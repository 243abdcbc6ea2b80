#include "shared/scoreboard.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>
#include <memory>
#include <thread>

#include "shared/mapping.hpp"
#include "shared/scoreboard_reader.hpp"

using namespace preforkd;
using namespace std::chrono_literals;

namespace {

/// A server's pages with a writer's mapping of each.
struct Pages {
    UniqueFd master = fixed_memory("master", sizeof(MasterPage)).value();
    Mapping master_mapping = Mapping::writable(master).value();
    UniqueFd worker = fixed_memory("worker", worker_page_size(1)).value();
    Mapping worker_mapping = Mapping::writable(worker).value();

    Pages() {
        auto& page = *master_mapping.as<MasterPage>();
        page.version = scoreboard_version;
        page.size = sizeof(MasterPage);
        page.front.listeners = 1;
        page.front.workers = 1;
        page.listeners[0].name = "web";
        page.listeners[0].totals.accepted = 5;
        page.workers[0].page = 7;
        page.workers[0].pid = 100;
        worker_page().version = scoreboard_version;
        worker_page().sections = 1;
        counters().accepted.add(3);
    }
    WorkerPage& worker_page() { return *worker_mapping.as<WorkerPage>(); }
    SectionCounters& counters() { return sections_of(worker_page(), worker_mapping.size())[0]; }
    ScoreboardReader reader() {
        return ScoreboardReader::open(master,
                                      [this](const WorkerEntry& entry) {
                                          return entry.page == 7 ? UniqueFd(::dup(worker.get()))
                                                                 : UniqueFd();
                                      })
            .value();
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(scoreboard)

BOOST_AUTO_TEST_CASE(every_duration_lies_below_the_end_of_its_bucket_and_not_below_its_begin) {
    for (std::uint64_t duration = 1; duration < 30'000'000'000; duration += duration / 7 + 1) {
        const std::size_t bucket = DurationBuckets::index_of(duration);
        BOOST_TEST(duration < DurationBuckets::end_of(bucket));
        if (bucket > 0) BOOST_TEST(duration >= DurationBuckets::end_of(bucket - 1));
    }
    BOOST_TEST(DurationBuckets::index_of(0) == 0U);
    BOOST_TEST(DurationBuckets::index_of(std::numeric_limits<std::uint64_t>::max()) ==
               DurationBuckets::count - 1);
}

BOOST_AUTO_TEST_CASE(percentiles_name_the_bucket_that_holds_their_share) {
    SectionTotals totals;
    BOOST_TEST(totals.percentile(0.5) == 0U);
    totals.durations[DurationBuckets::index_of(1'000'000)] = 99;
    totals.durations[DurationBuckets::index_of(500'000'000)] = 1;
    BOOST_TEST(totals.percentile(0.5) < 1'300'000U);
    BOOST_TEST(totals.percentile(0.99) < 1'300'000U);
    BOOST_TEST(totals.percentile(0.999) > 500'000'000U);
}

BOOST_AUTO_TEST_CASE(a_scribbled_counter_counts_for_no_more_than_its_worker_could_have_done) {
    const auto counters = std::make_unique<SectionCounters>();
    counters->accepted.set(std::numeric_limits<std::uint64_t>::max());
    counters->sent.set(std::numeric_limits<std::uint64_t>::max());
    SectionTotals totals;
    totals.add(*counters, 1s);
    totals.add(*counters, 1s);
    BOOST_TEST(totals.accepted == 400'000'000U);
    BOOST_TEST(totals.sent == 400'000'000'000U);
}

BOOST_AUTO_TEST_CASE(an_ended_worker_leaves_no_open_connection_and_no_gauge) {
    SectionTotals totals;
    totals.accepted = 7;
    totals.closed = 5;
    totals.metrics = {10, 20};
    totals.end_life(0b10);
    BOOST_TEST(totals.active() == 0U);
    BOOST_TEST(totals.metrics[0] == 10U);
    BOOST_TEST(totals.metrics[1] == 0U);
}

BOOST_AUTO_TEST_CASE(a_page_that_claims_more_sections_than_it_holds_has_none) {
    Pages pages;
    BOOST_TEST(sections_of(pages.worker_page(), pages.worker_mapping.size()).size() == 1U);
    pages.worker_page().sections = 1'000'000;
    BOOST_TEST(sections_of(pages.worker_page(), pages.worker_mapping.size()).empty());
    pages.worker_page().sections = 100;
    BOOST_TEST(sections_of(pages.worker_page(), pages.worker_mapping.size()).empty());
}

BOOST_AUTO_TEST_CASE(a_snapshot_adds_the_living_to_what_the_dead_left) {
    Pages pages;
    auto reader = pages.reader();
    const Snapshot snapshot = reader.read().value();
    BOOST_TEST(snapshot.listeners.at(0).totals.accepted == 8U);
    BOOST_TEST(snapshot.listeners.at(0).name.view() == "web");
    BOOST_TEST(snapshot.workers.at(0).totals.accepted == 3U);
}

BOOST_AUTO_TEST_CASE(a_worker_whose_page_can_not_be_had_counts_for_nothing) {
    Pages pages;
    pages.master_mapping.as<MasterPage>()->workers[0].page = 8;
    auto reader = pages.reader();
    BOOST_TEST(reader.read().value().listeners.at(0).totals.accepted == 5U);
}

BOOST_AUTO_TEST_CASE(a_master_stopped_in_the_middle_of_a_change_is_reported) {
    Pages pages;
    pages.master_mapping.as<MasterPage>()->changes = 3;
    auto reader = pages.reader();
    BOOST_TEST(reader.read().error().value() == EAGAIN);
}

BOOST_AUTO_TEST_CASE(another_version_is_refused) {
    Pages pages;
    pages.master_mapping.as<MasterPage>()->version = scoreboard_version + 1;
    const auto reader = ScoreboardReader::open(pages.master, {});
    BOOST_TEST(reader.error().value() == EPROTO);
}

BOOST_AUTO_TEST_CASE(a_reader_never_sees_half_a_change) {
    Pages pages;
    auto& page = *pages.master_mapping.as<MasterPage>();
    std::atomic<bool> done{false};
    std::thread writer([&] {
        for (std::uint64_t round = 1; round < 20'000; ++round) {
            page.changes.store(2 * round - 1, std::memory_order_relaxed);
            std::atomic_thread_fence(std::memory_order_release);
            MasterFront front = {};
            front.listeners = front.workers = 1;
            front.generation = round;
            front.exits = {round, round, round, round, round};
            copy_words(&page.front, &front, sizeof front);
            page.changes.store(2 * round, std::memory_order_release);
        }
        done = true;
    });
    auto reader = pages.reader();
    while (!done) {
        const auto snapshot = reader.read();
        if (!snapshot) continue;
        for (const std::uint64_t count : snapshot->front.exits)
            BOOST_REQUIRE_EQUAL(count, snapshot->front.generation);
    }
    writer.join();
}

BOOST_AUTO_TEST_CASE(a_sealed_page_keeps_its_writer_and_gets_no_other) {
    Pages pages;
    BOOST_TEST(!seal_against_new_writers(pages.worker));
    pages.counters().accepted.add(1);
    BOOST_TEST(Mapping::writable(pages.worker).error().value() == EPERM);
    BOOST_TEST(Mapping::read_only(pages.worker).has_value());
    BOOST_TEST(::ftruncate(pages.worker.get(), 0) == -1);
    BOOST_TEST(::pwrite(pages.worker.get(), "x", 1, 0) == -1);
}

BOOST_AUTO_TEST_SUITE_END()
