#include "shared/address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>

#include "shared/value_text.hpp"

namespace preforkd {
namespace {

const sockaddr_in& as_inet(const Address& address) {
    return reinterpret_cast<const sockaddr_in&>(address.storage);
}

const sockaddr_in6& as_inet6(const Address& address) {
    return reinterpret_cast<const sockaddr_in6&>(address.storage);
}

std::string text_of(const Address& address) {
    char host[INET6_ADDRSTRLEN] = "";
    switch (address.family()) {
        case AF_INET:
            ::inet_ntop(AF_INET, &as_inet(address).sin_addr, host, sizeof host);
            return fmt::format("{}:{}", host, address.port());
        case AF_INET6: {
            ::inet_ntop(AF_INET6, &as_inet6(address).sin6_addr, host, sizeof host);
            const std::uint32_t scope = as_inet6(address).sin6_scope_id;
            return fmt::format("[{}{}]:{}", host, scope ? fmt::format("%{}", scope) : "",
                               address.port());
        }
        case AF_UNIX: {
            // sun_path ends at its first NUL or at the length, whichever comes first; unix(7).
            const auto& unix_address = reinterpret_cast<const sockaddr_un&>(address.storage);
            const std::size_t room = address.length - offsetof(sockaddr_un, sun_path);
            return fmt::format("unix:{}", std::string_view(unix_address.sun_path,
                                                           ::strnlen(unix_address.sun_path, room)));
        }
        default:
            return fmt::format("family {}", address.family());
    }
}

ParsedAddress fault(std::string problem, std::string hint = {}) {
    return {{}, std::move(problem), std::move(hint)};
}

ParsedAddress unix_address(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& text = path.native();
    if (text.size() >= sizeof address.sun_path)
        return fault(fmt::format("the path '{}' is too long for a unix socket", text),
                     fmt::format("make it at most {} bytes", sizeof address.sun_path - 1));
    std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
    const std::size_t length = offsetof(sockaddr_un, sun_path) + text.size() + 1;
    return {{make_address(reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(length))},
            {},
            {}};
}

ParsedAddress every_ipv4_address(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    return {{make_address(reinterpret_cast<sockaddr*>(&address), sizeof address)}, {}, {}};
}

ParsedAddress look_up(const std::string& host, std::uint16_t port, int family, int flags) {
    addrinfo wanted{};
    wanted.ai_family = family;
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found);
    if (error != 0)
        return fault(
            fmt::format("cannot find host '{}': {}", host,
                        error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error)),
            "write the address in numbers, or * for every address");
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
    ParsedAddress result;
    for (; found != nullptr; found = found->ai_next) {
        Address address = make_address(found->ai_addr, found->ai_addrlen);
        if (std::ranges::find(result.addresses, address) == result.addresses.end())
            result.addresses.push_back(std::move(address));
    }
    return result;
}

ParsedAddress inet6_address(const std::string& host, std::uint16_t port) {
    ParsedAddress result = look_up(host, port, AF_INET6, AI_NUMERICHOST);
    if (!result.problem.empty())
        return fault(fmt::format("'[{}]' is not an IPv6 address", host), "write it as in [::1]:80");
    if (IN6_IS_ADDR_V4MAPPED(&as_inet6(result.addresses.front()).sin6_addr))
        return fault(fmt::format("'[{}]' is an IPv4 address in IPv6 clothes", host),
                     "IPv4 and IPv6 have sockets of their own here: write it as in 127.0.0.1:80");
    return result;
}

/// True if only digits and dots: then it is meant in numbers, and no host's name.
bool looks_like_ipv4(std::string_view host) {
    return host.find_first_not_of("0123456789.") == std::string_view::npos;
}

ParsedAddress inet_address(const std::string& host, std::uint16_t port, const Resolver& resolve) {
    if (host.empty() || host == "*") return every_ipv4_address(port);
    if (!looks_like_ipv4(host)) return resolve(host, port);
    // Not getaddrinfo, which takes 127.1 and 010.0.0.1 (octal) too.
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
        return fault(fmt::format("'{}' is not an IPv4 address", host),
                     "write it as in 127.0.0.1:80");
    return {{make_address(reinterpret_cast<sockaddr*>(&address), sizeof address)}, {}, {}};
}

}  // namespace

std::uint16_t Address::port() const noexcept {
    if (family() == AF_INET) return ntohs(as_inet(*this).sin_port);
    if (family() == AF_INET6) return ntohs(as_inet6(*this).sin6_port);
    return 0;
}

bool Address::is_wildcard() const noexcept {
    if (family() == AF_INET) return as_inet(*this).sin_addr.s_addr == htonl(INADDR_ANY);
    return family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&as_inet6(*this).sin6_addr);
}

Address make_address(const sockaddr* address, socklen_t length) {
    Address result;
    result.length = std::min<socklen_t>(length, sizeof result.storage);
    std::memcpy(&result.storage, address, result.length);
    result.text = text_of(result);
    return result;
}

ParsedAddress resolve_by_system(const std::string& host, std::uint16_t port) {
    return look_up(host, port, AF_UNSPEC, 0);
}

ParsedAddress parse_address(std::string_view text, const std::filesystem::path& base,
                            const Resolver& resolve) {
    constexpr std::string_view unix_prefix = "unix:";
    if (text.starts_with(unix_prefix)) {
        text.remove_prefix(unix_prefix.size());
        if (text.empty() || text.ends_with('/'))
            return fault("'unix:' wants the path of a socket", "write it as in unix:/run/web.sock");
        if (text.starts_with('@'))
            return fault("abstract unix sockets are not supported: everyone may connect to them",
                         "write a path, as in unix:/run/web.sock");
        return unix_address(absolute_path(text, base));
    }
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || text.ends_with(']'))
        return fault(
            fmt::format("'{}' has no port", text),
            "write it as in *:80, 127.0.0.1:80, [::]:80, localhost:80 or unix:/run/web.sock");
    const std::string_view port_text = text.substr(colon + 1);
    std::uint16_t port = 0;
    if (!parse_value(port_text, port).empty())
        return fault(fmt::format("'{}' is not a port; expected 0 to 65535", port_text));
    std::string host(text.substr(0, colon));
    if (host.starts_with('[') && host.ends_with(']'))
        return inet6_address(host.substr(1, host.size() - 2), port);
    if (host.find(':') != std::string::npos)
        return fault(fmt::format("'{}' is ambiguous", text),
                     "put an IPv6 address in brackets, as in [::1]:80");
    return inet_address(host, port, resolve);
}

}  // namespace preforkd
