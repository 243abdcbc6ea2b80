#pragma once

#include <string>

#include "bench/load/options.hpp"
#include "bench/load/tally.hpp"

namespace preforkd::bench {

/// All that a run has found out.
struct Result {
    Tally tally;
    nanoseconds elapsed{0};     ///< measured time
    nanoseconds client_cpu{0};  ///< of this process, in that time
    nanoseconds server_cpu{0};  ///< of --server, in that time
    std::vector<nanoseconds>
        signals;  ///< when each signal of --storm was sent, since measuring began
};

/// For people.
[[nodiscard]] std::string text_report(const Options& options, const Result& result);

/// For programs: every figure, quantiles and the time line. Durations are in microseconds unless
/// the name says otherwise.
[[nodiscard]] std::string json_report(const Options& options, const Result& result);

}  // namespace preforkd::bench
