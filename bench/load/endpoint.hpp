#pragma once

#include <sys/socket.h>

#include "bench/load/options.hpp"

namespace preforkd::bench {

/// Where to connect to.
struct Endpoint {
    sockaddr_storage address{};
    socklen_t length = 0;
};

/// The first address of `url`. Throws std::runtime_error when there is none. Source:
/// getaddrinfo(3).
[[nodiscard]] Endpoint resolve(const Url& url);

}  // namespace preforkd::bench
