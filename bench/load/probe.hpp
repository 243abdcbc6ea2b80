#pragma once

#include "bench/load/endpoint.hpp"
#include "bench/load/protocol.hpp"

namespace preforkd::bench {

/// Sends one request by itself and waits for its answer, so that a server that isn't there or
/// answers wrongly is told before anything is measured. Completes `protocol.expectation`: the
/// length of bodies, and with --check-content their bytes, unless --content gave them or the
/// request varies. Throws std::runtime_error with the reason and what to look at.
void probe(Protocol& protocol, const Endpoint& endpoint, const Options& options);

}  // namespace preforkd::bench
