#pragma once

#include <string>
#include <vector>

#include "shared/scoreboard_reader.hpp"
#include "shared/types.hpp"

// A snapshot of the scoreboard as machines read it: what the status service and preforkctl give
// out is the same text.

namespace preforkd {

/// One JSON object: the server, its listeners, workers, exits and verdicts. Durations are in
/// seconds, times in seconds since 1970. `durations` of a listener are pairs of a bucket's end in
/// seconds and how many requests took less than that and no less than the bucket before.
[[nodiscard]] std::string to_json(const Snapshot& snapshot, TimePoint now);

/// The same in Prometheus' text format, version 0.0.4.
/// Source: prometheus.io, "Exposition formats" and "Metric and label naming".
[[nodiscard]] std::string to_metrics(const Snapshot& snapshot, TimePoint now);

/// The verdicts that are kept, the newest first.
[[nodiscard]] std::vector<Verdict> verdicts_of(const MasterFront& front);

/// A moment of the scoreboard, in nanoseconds of the monotonic clock, as it is counted here.
[[nodiscard]] inline TimePoint time_point(std::int64_t nanoseconds) noexcept {
    return TimePoint(
        std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds(nanoseconds)));
}

/// What happened between two states of the same totals. Nothing where `before` is ahead.
[[nodiscard]] SectionTotals difference(const SectionTotals& now, const SectionTotals& before);

}  // namespace preforkd
