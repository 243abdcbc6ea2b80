#include "master/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <array>
#include <system_error>

namespace preforkd::master {
namespace {

int checked(int returned, const char* call) {
    if (returned < 0) throw std::system_error(errno, std::system_category(), call);
    return returned;
}

UniqueFd take_over(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    checked(::sigprocmask(SIG_BLOCK, &set, nullptr), "sigprocmask");
    return UniqueFd(checked(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

/// `deadline` as timerfd_settime(2) takes it with TFD_TIMER_ABSTIME; all zero disarms.
itimerspec absolute(std::optional<TimePoint> deadline) {
    itimerspec spec{};
    if (!deadline) return spec;
    const auto since_boot = deadline->time_since_epoch();
    const auto whole = std::chrono::duration_cast<seconds>(since_boot);
    spec.it_value.tv_sec = whole.count();
    spec.it_value.tv_nsec = std::chrono::nanoseconds(since_boot - whole).count();
    if (spec.it_value.tv_sec <= 0 && spec.it_value.tv_nsec <= 0) spec.it_value.tv_nsec = 1;
    return spec;
}

}  // namespace

EventLoop::EventLoop(std::initializer_list<int> signals)
    : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      signals_(take_over(signals)),
      timer_(checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                     "timerfd_create")) {
    watch(signals_, [this] { take_signals(); });
    watch(timer_, [this] {
        std::uint64_t expirations = 0;
        if (::read(timer_.get(), &expirations, sizeof expirations) < 0) return;
        deadline_.reset();
        on_deadline();
    });
}

void EventLoop::watch(const UniqueFd& fd, std::function<void()> on_readable) {
    add(fd, EPOLLIN, std::move(on_readable));
}

void EventLoop::watch_once(const UniqueFd& fd, std::function<void()> on_readable) {
    add(fd, EPOLLIN | EPOLLONESHOT, std::move(on_readable));
}

void EventLoop::watch_again(const UniqueFd& fd) noexcept {
    epoll_event interest{};
    interest.events = EPOLLIN | EPOLLONESHOT;
    interest.data.fd = fd.get();
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd.get(), &interest);
}

void EventLoop::add(const UniqueFd& fd, std::uint32_t events, std::function<void()> on_readable) {
    epoll_event interest{};
    interest.events = events;
    interest.data.fd = fd.get();
    checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &interest), "epoll_ctl");
    watched_[fd.get()] = std::move(on_readable);
}

void EventLoop::forget(const UniqueFd& fd) noexcept {
    if (watched_.erase(fd.get()) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
}

void EventLoop::set_deadline(std::optional<TimePoint> deadline) {
    if (deadline == deadline_) return;
    deadline_ = deadline;
    const itimerspec spec = absolute(deadline);
    checked(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr), "timerfd_settime");
}

void EventLoop::run() {
    std::array<epoll_event, 32> events;
    while (!stopped_) {
        const int count =
            ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
        if (count < 0 && errno == EINTR) continue;  // stopped and continued: signal(7)
        checked(count, "epoll_wait");
        for (int i = 0; i < count && !stopped_; ++i)
            dispatch(events[static_cast<std::size_t>(i)].data.fd);
    }
}

void EventLoop::dispatch(int fd) {
    const auto found = watched_.find(fd);
    if (found == watched_.end()) return;  // forgotten by a call earlier in this turn
    const auto call = found->second;      // a copy: the call may forget its own descriptor
    call();
}

void EventLoop::take_signals() {
    signalfd_siginfo info;
    while (!stopped_ && ::read(signals_.get(), &info, sizeof info) == sizeof info)
        on_signal(static_cast<int>(info.ssi_signo));
}

}  // namespace preforkd::master
