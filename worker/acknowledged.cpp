#include "worker/acknowledged.hpp"

// In a file of its own: netinet/tcp.h, which Asio includes, has a shorter tcp_info.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace preforkd::worker {

std::optional<std::uint32_t> acknowledged_bytes(int socket) noexcept {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
    return static_cast<std::uint32_t>(info.tcpi_bytes_acked);
}

}  // namespace preforkd::worker
