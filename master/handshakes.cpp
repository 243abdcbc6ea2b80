#include "master/handshakes.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "shared/unique_fd.hpp"

namespace preforkd::master {
namespace {

constexpr unsigned syn_received = 3;  // TCP_SYN_RECV, in the kernel's numbering

struct Request {
    nlmsghdr header{};
    inet_diag_req_v2 query{};
};

error_code ask(const UniqueFd& netlink, const Address& address) {
    Request request;
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.query.sdiag_family = static_cast<std::uint8_t>(address.family());
    request.query.sdiag_protocol = IPPROTO_TCP;
    request.query.idiag_states = 1U << syn_received;
    request.query.id.idiag_sport = htons(address.port());
    if (::send(netlink.get(), &request, sizeof request, 0) < 0) return last_error();
    return {};
}

/// Whether it came to `address`: a wildcard takes what comes to any.
bool is_for(const Address& address, const inet_diag_msg& found) {
    if (address.is_wildcard()) return true;
    const void* const ours =
        address.family() == AF_INET
            ? static_cast<const void*>(
                  &reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr)
            : &reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr;
    const std::size_t size = address.family() == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
    return std::memcmp(ours, found.id.idiag_src, size) == 0;
}

std::uint64_t cookie_of(const inet_diag_msg& found) {
    return found.id.idiag_cookie[0] | std::uint64_t{found.id.idiag_cookie[1]} << 32;
}

struct Answers {
    std::vector<std::uint64_t> cookies;
    bool complete = false;
    error_code error;
};

/// Reads one datagram's worth of answers.
void take(const char* bytes, std::size_t size, const Address& address, Answers& answers) {
    while (size >= sizeof(nlmsghdr)) {
        nlmsghdr header;
        std::memcpy(&header, bytes, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > size) break;
        if (header.nlmsg_type == NLMSG_DONE) answers.complete = true;
        if (header.nlmsg_type == NLMSG_ERROR) {
            nlmsgerr failure{};
            std::memcpy(&failure, bytes + sizeof header,
                        std::min(sizeof failure, header.nlmsg_len - sizeof header));
            answers.error.assign(-failure.error, boost::system::system_category());
        }
        if (answers.complete || answers.error) return;
        inet_diag_msg found;
        if (header.nlmsg_len >= sizeof header + sizeof found) {
            std::memcpy(&found, bytes + sizeof header, sizeof found);
            if (is_for(address, found)) answers.cookies.push_back(cookie_of(found));
        }
        const std::size_t step = std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), size);
        bytes += step;
        size -= step;
    }
}

}  // namespace

Result<std::vector<std::uint64_t>> pending_handshakes(const Address& address) {
    const UniqueFd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!netlink.is_open()) return last_error();
    if (const error_code error = ask(netlink, address)) return error;
    Answers answers;
    alignas(nlmsghdr) std::array<char, 32768> buffer;
    while (!answers.complete && !answers.error) {
        // The kernel answers within the call; nothing is waited for.
        const ssize_t got = ::recv(netlink.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return last_error();
        take(buffer.data(), static_cast<std::size_t>(got), address, answers);
    }
    if (answers.error) return answers.error;
    std::ranges::sort(answers.cookies);
    return std::move(answers.cookies);
}

}  // namespace preforkd::master
