#include "shared/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace preforkd {
namespace {

template <class Number>
std::optional<Number> parse(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

Result<Notifier> Notifier::connect(std::string_view address) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const bool is_abstract = address.starts_with('@');
    if ((!is_abstract && !address.starts_with('/')) || address.size() >= sizeof name.sun_path)
        return error_code(EINVAL, boost::system::system_category());
    std::copy(address.begin(), address.end(), name.sun_path);
    if (is_abstract) name.sun_path[0] = '\0';

    Notifier notifier;
    notifier.socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!notifier.socket_.is_open()) return last_error();
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    if (::connect(notifier.socket_.get(), reinterpret_cast<const sockaddr*>(&name), size) < 0)
        return last_error();
    return notifier;
}

void Notifier::send(std::string_view state) const noexcept {
    if (socket_.is_open()) (void)::send(socket_.get(), state.data(), state.size(), MSG_NOSIGNAL);
}

std::optional<std::chrono::microseconds> watchdog_timeout(std::string_view usec,
                                                          std::string_view pid) {
    if (!pid.empty() && parse<pid_t>(pid) != ::getpid()) return std::nullopt;
    const auto value = parse<std::uint64_t>(usec);
    if (!value || *value == 0) return std::nullopt;
    return std::chrono::microseconds(*value);
}

}  // namespace preforkd
