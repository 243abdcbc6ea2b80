#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "bench/load/failure.hpp"
#include "bench/load/histogram.hpp"

namespace preforkd::bench {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

/// A count with one writer that other threads may read while it grows.
class Counter {
  public:
    Counter() noexcept = default;
    Counter(const Counter& other) noexcept : value_(other.get()) {}
    Counter& operator=(const Counter& other) noexcept {
        value_.store(other.get(), std::memory_order_relaxed);
        return *this;
    }
    void add(std::uint64_t more) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t get() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// Whether a request went out on a connection of its own or on one that had carried others before.
enum class Carrier : std::uint8_t { fresh_connection, reused_connection };

/// What happened in one slice of the measured time; `slowest` is the longest latency among answers.
struct Slice {
    std::uint32_t answered = 0;
    std::array<std::uint32_t, failure_kinds> failed{};
    nanoseconds slowest{0};
};

/// The account of one thread, or of all of them once merged. `answered` and `failed` may be read by
/// another thread while it is being filled; nothing else may.
class Tally {
  public:
    /// Starts anew; slices are counted from `start`. Requires: slice > 0.
    void restart(TimePoint start, nanoseconds slice);

    void add_answer(TimePoint at, nanoseconds took) {
        answered.add(1);
        latency.record(took);
        Slice& slice = slice_at(at);
        ++slice.answered;
        if (took > slice.slowest) slice.slowest = took;
    }
    void add_failure(TimePoint at, Failure failure, Carrier carrier);
    void merge(const Tally& other);

    [[nodiscard]] std::uint64_t failures(Failure failure) const noexcept;
    [[nodiscard]] std::uint64_t failures(Failure failure, Carrier carrier) const noexcept {
        return failures_[std::size_t(failure)][std::size_t(carrier)];
    }
    [[nodiscard]] const std::vector<Slice>& slices() const noexcept { return slices_; }

    Counter answered;
    Counter failed;
    std::uint64_t bytes_received = 0;
    std::uint64_t connections_opened = 0;
    std::uint64_t closes_announced = 0;   ///< the server said it would close, and the client obeyed
    std::uint64_t closes_while_idle = 0;  ///< clean, and seen before the next request was sent
    std::uint64_t resets_while_idle = 0;  ///< the same by RST
    std::uint64_t unsolicited = 0;        ///< connections dropped for bytes nobody asked for
    std::uint64_t never_sent = 0;         ///< open loop: due in time, still queued at the end
    Histogram latency;                    ///< open loop: from when the request was due
    Histogram service_time;               ///< open loop only: from when it was really sent

  private:
    Slice& slice_at(TimePoint at) {
        if (at >= slice_end_) open_slice(at);
        return slices_.back();
    }
    void open_slice(TimePoint at);

    std::array<std::array<std::uint64_t, 2>, failure_kinds> failures_{};
    nanoseconds slice_length_{std::chrono::milliseconds(100)};
    TimePoint slice_end_;
    std::vector<Slice> slices_ = std::vector<Slice>(1);
};

}  // namespace preforkd::bench
