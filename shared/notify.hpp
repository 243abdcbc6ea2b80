#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "shared/result.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd {

/// Tells the service manager how we are. Written by hand, as systemd's authors advise, to keep a
/// large library out of a root process. Source: sd_notify(3), "Notes".
class Notifier {
  public:
    /// Silent: nobody asked.
    Notifier() = default;

    /// Connects to `address`, the value of NOTIFY_SOCKET: a path, or `@name` in the abstract space.
    /// Errors: EINVAL  neither form, or too long; what socket(2) and connect(2) say.
    [[nodiscard]] static Result<Notifier> connect(std::string_view address);

    /// Goes on with a connected socket.
    explicit Notifier(UniqueFd socket) noexcept : socket_(std::move(socket)) {}

    [[nodiscard]] const UniqueFd& socket() const noexcept { return socket_; }

    /// Sends `state`, lines of NAME=VALUE. Never waits; a manager that doesn't listen is ignored.
    void send(std::string_view state) const noexcept;

    [[nodiscard]] bool is_connected() const noexcept { return socket_.is_open(); }

  private:
    UniqueFd socket_;
};

/// How often the manager wants WATCHDOG=1, from the values of WATCHDOG_USEC and WATCHDOG_PID (empty
/// when unset). Nothing when it wants none, or wants it of another process.
/// Source: sd_watchdog_enabled(3).
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_timeout(std::string_view usec,
                                                                        std::string_view pid);

}  // namespace preforkd
