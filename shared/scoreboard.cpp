#include "shared/scoreboard.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace preforkd {
namespace {

// More than one core can do: 100 million events and 100 GB in a second, and a second to begin with.
constexpr std::uint64_t most_events_per_second = 100'000'000;
constexpr std::uint64_t most_bytes_per_second = 100'000'000'000;

std::uint64_t bound(std::chrono::nanoseconds lifetime, std::uint64_t per_second) noexcept {
    const auto whole = std::chrono::duration_cast<seconds>(lifetime).count() + 1;
    constexpr std::int64_t longest = 100'000'000;  // three years, so that nothing overflows
    return static_cast<std::uint64_t>(std::clamp<std::int64_t>(whole, 1, longest)) * per_second;
}

void add_clamped(std::uint64_t& sum, const Counter& counter, std::uint64_t most) noexcept {
    sum += std::min(counter.get(), most);
}

std::size_t round_up(std::size_t size, std::size_t unit) noexcept {
    return (size + unit - 1) / unit * unit;
}

constexpr std::size_t memory_page = 4096;

}  // namespace

std::size_t worker_page_size(std::size_t sections) noexcept {
    return round_up(sizeof(WorkerPage) + sections * sizeof(SectionCounters), memory_page);
}

std::span<const SectionCounters> sections_of(const WorkerPage& page, std::size_t size) noexcept {
    const std::size_t count = page.sections;
    if (page.version != scoreboard_version || count > WorkerPage::most_sections ||
        sizeof(WorkerPage) + count * sizeof(SectionCounters) > size)
        return {};
    return {reinterpret_cast<const SectionCounters*>(&page + 1), count};
}

std::span<SectionCounters> sections_of(WorkerPage& page, std::size_t size) noexcept {
    const auto sections = sections_of(std::as_const(page), size);
    return {const_cast<SectionCounters*>(sections.data()), sections.size()};
}

void SectionTotals::add(const SectionCounters& counters,
                        std::chrono::nanoseconds lifetime) noexcept {
    const std::uint64_t events = bound(lifetime, most_events_per_second);
    const std::uint64_t bytes = bound(lifetime, most_bytes_per_second);
    add_clamped(accepted, counters.accepted, events);
    add_clamped(closed, counters.closed, events);
    add_clamped(failures, counters.failures, events);
    add_clamped(received, counters.received, bytes);
    add_clamped(sent, counters.sent, bytes);
    for (std::size_t i = 0; i < responses.size(); ++i)
        add_clamped(responses[i], counters.responses[i], events);
    add_clamped(duration_sum, counters.duration_sum, bytes);
    for (std::size_t i = 0; i < durations.size(); ++i)
        add_clamped(durations[i], counters.durations[i], events);
    for (std::size_t i = 0; i < metrics.size(); ++i)
        add_clamped(metrics[i], counters.metrics[i], bytes);
}

void SectionTotals::add(const SectionTotals& other) noexcept {
    // Both are nothing but words.
    auto* const sums = reinterpret_cast<std::uint64_t*>(this);
    const auto* const more = reinterpret_cast<const std::uint64_t*>(&other);
    for (std::size_t i = 0; i < sizeof *this / sizeof *sums; ++i) sums[i] += more[i];
}

void SectionTotals::end_life(std::uint32_t gauges) noexcept {
    closed = std::max(closed, accepted);
    for (std::size_t i = 0; i < metrics.size(); ++i)
        if ((gauges >> i & 1) != 0) metrics[i] = 0;
}

std::uint64_t SectionTotals::requests() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : responses) sum += count;
    return sum;
}

std::uint64_t SectionTotals::percentile(double share) const noexcept {
    std::uint64_t all = 0;
    for (const std::uint64_t count : durations) all += count;
    if (all == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(all)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < durations.size(); ++i) {
        seen += durations[i];
        if (seen >= wanted) return DurationBuckets::end_of(i);
    }
    return DurationBuckets::end_of(durations.size() - 1);
}

std::string_view to_string(ServerState state) noexcept {
    switch (state) {
        case ServerState::starting:
            return "starting";
        case ServerState::serving:
            return "running";
        case ServerState::reloading:
            return "reloading";
        case ServerState::upgrading:
            return "upgrading";
        case ServerState::stopping:
            return "stopping";
    }
    return "unknown";
}

std::string_view to_string(PageState state) noexcept {
    switch (state) {
        case PageState::starting:
            return "starting";
        case PageState::serving:
            return "serving";
        case PageState::hung:
            return "hung";
        case PageState::draining:
            return "draining";
        case PageState::ending:
            return "ending";
    }
    return "unknown";
}

std::string_view to_string(Verdict::Kind kind) noexcept {
    switch (kind) {
        case Verdict::Kind::none:
            return "none";
        case Verdict::Kind::start:
            return "start";
        case Verdict::Kind::reload:
            return "reload";
        case Verdict::Kind::upgrade:
            return "upgrade";
    }
    return "unknown";
}

std::string_view to_string(ExitKind kind) noexcept {
    switch (kind) {
        case ExitKind::finished:
            return "finished";
        case ExitKind::crashed:
            return "crashed";
        case ExitKind::hung:
            return "hung";
        case ExitKind::killed:
            return "killed";
        case ExitKind::failed_to_start:
            return "failed_to_start";
    }
    return "unknown";
}

void copy_words(void* to, const void* from, std::size_t size) noexcept {
    // Atomic words, because another process may be writing them.
    auto* const target = static_cast<std::uint64_t*>(to);
    const auto* const source = static_cast<const std::uint64_t*>(from);
    for (std::size_t i = 0; i < size / sizeof(std::uint64_t); ++i)
        __atomic_store_n(target + i, __atomic_load_n(source + i, __ATOMIC_RELAXED),
                         __ATOMIC_RELAXED);
}

}  // namespace preforkd
