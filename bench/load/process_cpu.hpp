#pragma once

#include <chrono>
#include <map>
#include <vector>

namespace preforkd::bench {

using std::chrono::nanoseconds;

/// CPU time (user and system) that each of `roots` and their descendants has used since it began,
/// to the nanosecond; what can't be read is left out. Source: proc(5), /proc/PID/stat and
/// /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst).
[[nodiscard]] std::map<int, nanoseconds> cpu_times(const std::vector<int>& roots);

/// What was used between two readings. A process that appeared in between counts whole; what one
/// that went away had used since the first reading is not known and not counted.
[[nodiscard]] nanoseconds cpu_used(const std::map<int, nanoseconds>& before,
                                   const std::map<int, nanoseconds>& after);

/// CPU time of the calling process. Source: getrusage(2).
[[nodiscard]] nanoseconds own_cpu_time();

}  // namespace preforkd::bench
