#include "worker/peer_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

namespace preforkd::worker {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// inet_ntop(3) goes through snprintf, which costs more than the rest of an access-log line.
char* render_byte(char* out, unsigned value) noexcept {
    if (value >= 100) *out++ = static_cast<char>('0' + value / 100);
    if (value >= 10) *out++ = static_cast<char>('0' + value / 10 % 10);
    *out++ = static_cast<char>('0' + value % 10);
    return out;
}

std::size_t render_ipv4(const std::uint8_t* ip, char* text) noexcept {
    char* out = render_byte(text, ip[0]);
    for (int i = 1; i < 4; ++i) {
        *out++ = '.';
        out = render_byte(out, ip[i]);
    }
    return static_cast<std::size_t>(out - text);
}

}  // namespace

PeerAddress::PeerAddress(const sockaddr_storage& address) noexcept {
    if (address.ss_family == AF_INET) {
        const auto& inet = reinterpret_cast<const sockaddr_in&>(address);
        family_ = AF_INET;
        port_ = ntohs(inet.sin_port);
        std::memcpy(ip_.data(), &inet.sin_addr, 4);
    } else if (address.ss_family == AF_INET6) {
        const auto& inet6 = reinterpret_cast<const sockaddr_in6&>(address);
        family_ = AF_INET6;
        port_ = ntohs(inet6.sin6_port);
        std::memcpy(ip_.data(), &inet6.sin6_addr, 16);
        if (std::memcmp(ip_.data(), mapped_prefix.data(), mapped_prefix.size()) == 0) {
            family_ = AF_INET;
            std::memmove(ip_.data(), ip_.data() + mapped_prefix.size(), 4);
        }
    }
}

std::size_t PeerAddress::render_ip(char* text) const noexcept {
    if (family_ == AF_INET) return render_ipv4(ip_.data(), text);
    if (family_ == AF_INET6 && ::inet_ntop(AF_INET6, ip_.data(), text, INET6_ADDRSTRLEN) != nullptr)
        return std::strlen(text);
    std::memcpy(text, "unix", 4);  // NOLINT(bugprone-not-null-terminated-result): as promised
    return 4;
}

void PeerAddress::render(char* text, std::size_t size) const noexcept {
    char* out = text;
    if (family_ == AF_INET6) *out++ = '[';
    out += render_ip(out);
    if (family_ == AF_INET6) *out++ = ']';
    if (family_ != AF_UNIX) {
        *out++ = ':';
        out = std::to_chars(out, text + size - 1, port_).ptr;
    }
    *out = '\0';
}

std::string PeerAddress::render() const {
    std::array<char, rendered_size> text{};
    render(text.data(), text.size());
    return text.data();
}

}  // namespace preforkd::worker
