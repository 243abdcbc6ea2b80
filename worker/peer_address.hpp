#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace preforkd::worker {

/// The address of a socket's end in 20 bytes, rendered only when someone asks.
class PeerAddress {
  public:
    PeerAddress() noexcept = default;  // a unix socket's
    explicit PeerAddress(const sockaddr_storage& address) noexcept;

    /// Writes "192.0.2.1", "2001:db8::1" or "unix" to `text`, and returns its length. An IPv4 peer
    /// of an IPv6 socket (::ffff:192.0.2.1) is shown as what it is. Requires: 46 bytes at `text`.
    std::size_t render_ip(char* text) const noexcept;

    /// "192.0.2.1:80", "[2001:db8::1]:80" or "unix".
    [[nodiscard]] std::string render() const;
    /// The same into `size` bytes at `text`, ending with NUL. Requires: size >= rendered_size.
    static constexpr std::size_t rendered_size = 56;
    void render(char* text, std::size_t size) const noexcept;

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  private:
    std::array<std::uint8_t, 16> ip_{};
    std::uint16_t port_ = 0;
    std::uint8_t family_ = AF_UNIX;
};

}  // namespace preforkd::worker
