#pragma once

#include "bench/load/endpoint.hpp"
#include "bench/load/protocol.hpp"
#include "bench/load/report.hpp"

namespace preforkd::bench {

/// Makes the load that `options` describe and returns what came of it. Blocks. SIGINT and SIGTERM
/// end it early, with a result for the time until then.
[[nodiscard]] Result run_load(const Options& options, const Protocol& protocol,
                              const Endpoint& endpoint);

}  // namespace preforkd::bench
