#pragma once

#include <cstddef>
#include <preforkd/service.hpp>

namespace preforkd::worker {

/// How many connections a listener of a worker takes, by its key `max_connections` (0: as many as
/// there can be), when `kept` descriptors are needed for other things than connections. More than
/// the limit on descriptors allows is logged as a warning and lowered. Range: at least 16.
[[nodiscard]] std::size_t connection_limit(const ServiceContext& context, std::size_t wanted,
                                           std::size_t kept);

}  // namespace preforkd::worker
