#include "worker/services/board_watch.hpp"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <preforkd/asio.hpp>
#include <utility>

#include "shared/result.hpp"

namespace preforkd::worker::board {

using boost::asio::posix::stream_descriptor;

/// Awaited by follow() while nobody waits for messages.
class Watch::Rest {
  public:
    explicit Rest(Watch& watch) : watch_(watch) {}
    bool await_ready() const noexcept { return !watch_.waiting_.empty(); }
    void await_suspend(std::coroutine_handle<> follower) noexcept { watch_.resting_ = follower; }
    void await_resume() const noexcept {}

  private:
    Watch& watch_;
};

/// What follow() waits for; of its frame, because it must go before the event loop does.
class Watch::Follower {
  public:
    explicit Follower(Watch& watch)
        : watch_(watch), events_(executor(), ::dup(watch.events_.get())) {
        events_.non_blocking(true);  // at once: Asio would later, when this worker is confined
        watch_.followed_ = &events_;
    }
    ~Follower() {
        watch_.followed_ = nullptr;
        watch_.resting_ = nullptr;
    }
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    [[nodiscard]] stream_descriptor& events() noexcept { return events_; }

  private:
    Watch& watch_;
    stream_descriptor events_;
};

// By the way that /proc gives, for the worker may have no other to the file. Events that are equal
// to the last unread one are not queued, so the queue never fills. Source: inotify(7).
Watch::Watch(int descriptor) : events_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    const std::string path = fmt::format("/proc/self/fd/{}", descriptor);
    if (!events_.is_open() || ::inotify_add_watch(events_.get(), path.c_str(), IN_ATTRIB) < 0)
        fault_ = last_error().message();
    else
        spawn(follow());
}

Watch::Place::Place(Watch& watch, Connection& connection) : watch_(watch), connection_(connection) {
    watch_.waiting_.push_back(&connection_);
    if (watch_.resting_) std::exchange(watch_.resting_, nullptr).resume();
}

Watch::Place::~Place() {
    std::erase(watch_.waiting_, &connection_);
    error_code ignored;
    if (watch_.waiting_.empty() && watch_.followed_ != nullptr) watch_.followed_->cancel(ignored);
}

task<void> Watch::follow() {
    Follower follower(*this);
    for (;;) {
        Rest rest(*this);
        co_await rest;
        const error_code error =
            co_await follower.events().async_wait(stream_descriptor::wait_read, use_task);
        if (error && error != boost::asio::error::operation_aborted) co_return;
        forget_events();
        for (Connection* const connection : waiting_) connection->wake();
    }
}

void Watch::forget_events() noexcept {
    char events[4096];
    while (::read(events_.get(), events, sizeof events) > 0) {
    }
}

}  // namespace preforkd::worker::board
