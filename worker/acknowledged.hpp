#pragma once

#include <cstdint>
#include <optional>

namespace preforkd::worker {

/// How many bytes the peer's kernel has acknowledged on this connection so far, modulo 2^32;
/// nothing when it is no TCP connection. Source: tcp(7), TCP_INFO; linux/tcp.h, tcpi_bytes_acked.
[[nodiscard]] std::optional<std::uint32_t> acknowledged_bytes(int socket) noexcept;

}  // namespace preforkd::worker
