#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

/// Where a listener listens: IPv4, IPv6 or a unix socket. Two are equal when their texts are.
struct Address {
    sockaddr_storage storage{};
    socklen_t length = 0;
    std::string text;  ///< canonical: "0.0.0.0:80", "[::]:80", "unix:/run/web.sock"

    [[nodiscard]] int family() const noexcept { return storage.ss_family; }
    [[nodiscard]] bool is_unix() const noexcept { return family() == AF_UNIX; }
    /// Host byte order; 0 for a unix socket, or when the kernel is to choose.
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// 0.0.0.0 or [::].
    [[nodiscard]] bool is_wildcard() const noexcept;
    [[nodiscard]] const sockaddr* get() const noexcept {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
    friend bool operator==(const Address& left, const Address& right) {
        return left.text == right.text;
    }
};

/// What accept(2), getsockname(2) or getaddrinfo(3) gave, with its canonical text. An address of
/// another family gets the text "family N".
[[nodiscard]] Address make_address(const sockaddr* address, socklen_t length);

/// The outcome of reading an address: one or more, or what is wrong and what to do about it.
struct ParsedAddress {
    std::vector<Address> addresses;
    std::string problem;  ///< empty: nothing
    std::string hint;
};

/// Looks up a host name: all its IPv4 and IPv6 addresses with that port, or a problem.
using Resolver = std::function<ParsedAddress(const std::string& host, std::uint16_t port)>;

/// Resolver that asks the system. Source: getaddrinfo(3).
[[nodiscard]] ParsedAddress resolve_by_system(const std::string& host, std::uint16_t port);

/// Reads `*:80`, `:80` (both: every IPv4 address), `127.0.0.1:80`, `[::1]:80`, `host:80` or
/// `unix:PATH`, whose relative PATH starts from `base`. Port range: [0, 65535]; 0 lets the kernel
/// choose.
[[nodiscard]] ParsedAddress parse_address(std::string_view text, const std::filesystem::path& base,
                                          const Resolver& resolve);

}  // namespace preforkd
