#pragma once

#include <sys/timerfd.h>

#include "shared/unique_fd.hpp"

namespace preforkd::worker {

/// Tells the master, by going off, that this worker's event loop stands still: a timer that both
/// have and that the loop must keep winding while it has connections. Nobody needs to poll.
class DeadManSwitch {
  public:
    /// Two ticks of the coarse clock: one that comes late is no hang yet.
    static constexpr int seconds_until_off = 2;

    DeadManSwitch() noexcept = default;
    explicit DeadManSwitch(UniqueFd timer) noexcept : timer_(std::move(timer)) {}

    void wind() noexcept { set(seconds_until_off); }
    /// There is nothing to do, so that standing still is no fault.
    void stop() noexcept { set(0); }

  private:
    // Source: timerfd_create(2). It also takes back an expiry that the master has not seen yet.
    void set(int seconds) noexcept {
        if (!timer_.is_open()) return;
        const itimerspec spec{.it_interval = {}, .it_value = {.tv_sec = seconds, .tv_nsec = 0}};
        ::timerfd_settime(timer_.get(), 0, &spec, nullptr);
    }

    UniqueFd timer_;
};

}  // namespace preforkd::worker
