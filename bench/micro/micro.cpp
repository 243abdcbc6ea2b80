// What the pieces on a request's way cost by themselves, for whoever changes one of them:
//   build/bench/micro/micro --benchmark_filter=parse
// What a whole request costs is bench/run's business.

#include <benchmark/benchmark.h>

#include <chrono>
#include <string>
#include <vector>

#include "bench/load/histogram.hpp"
#include "shared/log.hpp"
#include "shared/scoreboard.hpp"
#include "worker/services/http_access_line.hpp"
#include "worker/services/http_parser.hpp"
#include "worker/services/http_response.hpp"
#include "worker/tick_wheel.hpp"

namespace {

using namespace preforkd;
using namespace preforkd::worker;

constexpr std::string_view wrk_request = "GET /1k.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

constexpr std::string_view browser_request =
    "GET /1k.html HTTP/1.1\r\n"
    "Host: www.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;"
    "q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "DNT: 1\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; lang=en\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: none\r\n"
    "Priority: u=0, i\r\n\r\n";

void parse(benchmark::State& state, std::string_view request) {
    const http::Limits limits;
    for (auto unused : state) {
        static_cast<void>(unused);
        http::RequestHead head;
        const http::HeadResult result = http::parse_head(request, limits, head);
        if (result.kind != http::HeadResult::Kind::complete) state.SkipWithError("refused");
        benchmark::DoNotOptimize(head);
    }
    state.SetBytesProcessed(state.iterations() * std::int64_t(request.size()));
}
BENCHMARK_CAPTURE(parse, wrk, wrk_request);
BENCHMARK_CAPTURE(parse, browser, browser_request);

void head_start(benchmark::State& state) {
    http::HeadStarts starts;
    starts.renew(784111777);
    char head[http::start_capacity];
    for (auto unused : state) {
        static_cast<void>(unused);
        benchmark::DoNotOptimize(http::render_start(head, http::Status::not_modified, starts,
                                                    http::Persistence::persists));
        benchmark::ClobberMemory();
    }
}
BENCHMARK(head_start);

void access_line(benchmark::State& state) {
    http::RequestHead head;
    if (http::parse_head(browser_request, {}, head).kind != http::HeadResult::Kind::complete)
        return state.SkipWithError("refused");
    http::AccessLines lines;
    for (auto unused : state) {
        static_cast<void>(unused);
        benchmark::DoNotOptimize(
            lines.render("192.0.2.1", head, http::Status::ok, 1024, 784111777));
    }
}
BENCHMARK(access_line);

void escape_plain_text(benchmark::State& state) {
    const std::string text(std::size_t(state.range(0)), 'a');
    for (auto unused : state) {
        static_cast<void>(unused);
        benchmark::DoNotOptimize(escape_for_log(text));
    }
}
BENCHMARK(escape_plain_text)->Arg(16)->Arg(256);

struct Entry : WheelEntry {};

// A connection that was busy is placed anew each second or so.
void wheel_place(benchmark::State& state) {
    std::vector<Entry> entries(std::size_t(state.range(0)));
    TickWheel wheel;
    for (Entry& entry : entries) wheel.add(entry);
    std::size_t next = 0;
    for (auto unused : state) {
        static_cast<void>(unused);
        wheel.place(entries[next], wheel.now() + Tick(next % 60) + 1);
        next = next + 1 == entries.size() ? 0 : next + 1;
    }
}
BENCHMARK(wheel_place)->Arg(64)->Arg(19000);

// A tick at which nothing is due, and the visits of those that are.
void wheel_advance(benchmark::State& state) {
    std::vector<Entry> entries(std::size_t(state.range(0)));
    TickWheel wheel;
    for (Entry& entry : entries) wheel.add(entry);
    for (auto unused : state) {
        static_cast<void>(unused);
        wheel.advance([&](WheelEntry& entry) { wheel.place(entry, wheel.now() + 10); });
    }
}
BENCHMARK(wheel_advance)->Arg(0)->Arg(1000);

// What is counted for each request.
void scoreboard_request(benchmark::State& state) {
    SectionCounters counters;
    std::uint64_t nanoseconds = 12'345;
    for (auto unused : state) {
        static_cast<void>(unused);
        counters.received.add(64);
        counters.sent.add(1290);
        counters.responses[2].add();
        counters.duration_sum.add(nanoseconds);
        counters.durations[DurationBuckets::index_of(nanoseconds)].add();
        nanoseconds = nanoseconds * 5 % 1'000'003;
        benchmark::ClobberMemory();
    }
}
BENCHMARK(scoreboard_request);

void scoreboard_percentile(benchmark::State& state) {
    SectionCounters counters;
    for (std::uint64_t i = 1; i < 100'000; ++i)
        counters.durations[DurationBuckets::index_of(i * 997)].add();
    SectionTotals totals;
    totals.add(counters, std::chrono::hours(1));
    for (auto unused : state) {
        static_cast<void>(unused);
        benchmark::DoNotOptimize(totals.percentile(0.99));
    }
}
BENCHMARK(scoreboard_percentile);

// The load client's own account of an answer.
void load_histogram(benchmark::State& state) {
    bench::Histogram histogram;
    std::int64_t nanoseconds = 12'345;
    for (auto unused : state) {
        static_cast<void>(unused);
        histogram.record(std::chrono::nanoseconds(nanoseconds));
        nanoseconds = nanoseconds * 5 % 1'000'003;
    }
    benchmark::DoNotOptimize(histogram.count());
}
BENCHMARK(load_histogram);

}  // namespace
