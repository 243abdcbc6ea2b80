#include "worker/services/board_turn_limit.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <system_error>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "worker/services/board_signals.hpp"

namespace preforkd::worker::board {

TurnLimit::TurnLimit(milliseconds limit) : limit_(limit) {
    sigevent expiry{};
    expiry.sigev_notify = SIGEV_SIGNAL;
    expiry.sigev_signo = SIGKILL;
    if (::timer_create(CLOCK_MONOTONIC, &expiry, &timer_) < 0)
        throw StartupError(exit_failure, fmt::format("timer_create: {}", last_error().message()));
}

TurnLimit::~TurnLimit() {
    ::timer_delete(timer_);
}

void TurnLimit::begin() noexcept {
    const std::lock_guard lock(mutex_);
    is_on_ = true;
    arm(limit_);
}

void TurnLimit::end() noexcept {
    const std::lock_guard lock(mutex_);
    is_on_ = false;
    arm({});
}

void TurnLimit::extend() noexcept {
    const std::lock_guard lock(mutex_);
    if (is_on_) arm(limit_);
}

void TurnLimit::lift() noexcept {
    const std::lock_guard lock(mutex_);
    is_lifted_ = true;
    arm({});
}

void TurnLimit::arm(milliseconds from_now) noexcept {
    if (is_lifted_) from_now = {};
    itimerspec time{};
    time.it_value.tv_sec = from_now.count() / 1000;
    time.it_value.tv_nsec = from_now.count() % 1000 * 1'000'000;
    ::timer_settime(timer_, 0, &time, nullptr);
}

Pulse::Pulse(TurnLimit& limit) : limit_(limit) {
    const SignalsBlocked blocked(all_signals());
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
        throw StartupError(exit_failure, fmt::format("can't start a thread: {}", error.what()));
    }
}

Pulse::~Pulse() {
    {
        const std::lock_guard lock(mutex_);
        is_over_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void Pulse::run() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, limit_.limit() / 3, [this] { return is_over_; })) limit_.extend();
}

}  // namespace preforkd::worker::board
