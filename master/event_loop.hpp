#pragma once

#include <signal.h>

#include <functional>
#include <initializer_list>
#include <optional>
#include <unordered_map>

#include "shared/types.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// Everything the master ever waits for: signals, descriptors and one deadline, in one
/// epoll_wait(2) without a time-out. Signals come through a signalfd, so nothing runs in a signal
/// handler.
class EventLoop {
  public:
    /// Blocks `signals` in this process for good and takes them from here on. Throws system_error.
    explicit EventLoop(std::initializer_list<int> signals);

    /// Called with the signal's number; one call may stand for several sent. Source: signal(7).
    std::function<void(int signal)> on_signal;
    /// Called once the deadline has come.
    std::function<void()> on_deadline;

    /// Calls `on_readable` whenever `fd` can be read or has closed, until forget(). Throws
    /// system_error.
    void watch(const UniqueFd& fd, std::function<void()> on_readable);
    /// The same for what others could make readable for ever: calls once, and not again before
    /// watch_again(). Source: epoll_ctl(2), EPOLLONESHOT.
    void watch_once(const UniqueFd& fd, std::function<void()> on_readable);
    void watch_again(const UniqueFd& fd) noexcept;
    void forget(const UniqueFd& fd) noexcept;

    /// Nothing means never. A deadline that has passed comes at the next turn.
    void set_deadline(std::optional<TimePoint> deadline);

    /// Waits and calls back until stop() was called. Throws system_error.
    void run();
    void stop() noexcept { stopped_ = true; }

  private:
    void add(const UniqueFd& fd, std::uint32_t events, std::function<void()> on_readable);
    void dispatch(int fd);
    void take_signals();

    UniqueFd epoll_, signals_, timer_;
    std::optional<TimePoint> deadline_;
    std::unordered_map<int, std::function<void()>> watched_;
    bool stopped_ = false;
};

}  // namespace preforkd::master
