#include "crowd.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "shared/address.hpp"
#include "shared/result.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::testing {
namespace {

constexpr std::string_view message = "hello\n";

/// What went wrong for one client, or nothing. No checks of Boost.Test: they are for one thread.
std::string visit(const Address& address) {
    const UniqueFd socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{10, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(socket.get(), address.get(), address.length) < 0)
        return "connect: " + last_error().message();
    if (::send(socket.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0)
        return "send: " + last_error().message();
    std::string answer;
    while (answer.size() < message.size()) {
        char chunk[64];
        const ssize_t got = ::recv(socket.get(), chunk, sizeof chunk, 0);
        if (got < 0) return "receive: " + last_error().message();
        if (got == 0) return "the connection ended without an answer";
        answer.append(chunk, static_cast<std::size_t>(got));
    }
    return answer == message ? "" : "wrong answer: " + answer;
}

}  // namespace

Crowd::Crowd(const std::string& address) : thread_([this, address] { run(address); }) {}

std::string Crowd::leave() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
    return failure_;
}

void Crowd::run(const std::string& text) {
    const ParsedAddress parsed =
        parse_address(text, "/", [](const std::string&, std::uint16_t) { return ParsedAddress{}; });
    if (parsed.addresses.size() != 1) {
        failure_ = text + " is not one address";
        return;
    }
    while (!over_ && failure_.empty()) {
        failure_ = visit(parsed.addresses.front());
        if (failure_.empty())
            ++served_;
        else
            failure_ += fmt::format(" (after {} clients)", served_.load());
    }
}

}  // namespace preforkd::testing
