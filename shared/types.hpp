#pragma once

#include <sys/types.h>

#include <chrono>
#include <compare>
#include <cstdint>

namespace preforkd {

/// A process, by its number in our pid namespace.
struct Pid {
    pid_t value = 0;
    auto operator<=>(const Pid&) const = default;
};

/// Counts configurations taken into service; the first is 1.
struct Generation {
    std::uint64_t value = 0;
    auto operator<=>(const Generation&) const = default;
};

/// A group of workers that serve the same listeners; the number stays with the pool's name for the
/// master's whole life.
struct PoolId {
    std::uint32_t value = 0;
    auto operator<=>(const PoolId&) const = default;
};

/// A place for one worker in a pool: the `web/0` of the process list.
struct SlotId {
    PoolId pool;
    std::uint32_t index = 0;
    auto operator<=>(const SlotId&) const = default;
};

/// Monotonic, and the same in every process of a boot. Source: clock_gettime(2), CLOCK_MONOTONIC.
using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace preforkd
