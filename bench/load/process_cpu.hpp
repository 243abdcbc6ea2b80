#pragma once

#include <chrono>
#include <vector>

namespace preforkd::bench {

using std::chrono::nanoseconds;

/// CPU time (user and system) that `roots` and their descendants have used since each began, exited
/// threads and reaped children included, so that the difference of two readings is what a server
/// has cost whatever became of its processes meanwhile. To the nanosecond while no child is reaped;
/// what a reaped one has used is known to 10 ms. A process that can't be read counts as 0.
/// Source: clock_getcpuclockid(3); proc(5), /proc/PID/stat (cutime, cstime), .../children.
[[nodiscard]] nanoseconds cpu_time(const std::vector<int>& roots);

/// CPU time of the calling process. Source: getrusage(2).
[[nodiscard]] nanoseconds own_cpu_time();

}  // namespace preforkd::bench
