#pragma once

#include <string>

namespace preforkd::master {

/// Has the kernel kill others first when memory runs out, if we may (CAP_SYS_RESOURCE): a worker
/// that dies is replaced, a master is not. Returns what workers are to write into their own
/// /proc/self/oom_score_adj: what the master was started with, but nothing that spares them. Empty:
/// there is no such file. Source: proc(5), /proc/pid/oom_score_adj.
[[nodiscard]] std::string lower_oom_score();

}  // namespace preforkd::master
