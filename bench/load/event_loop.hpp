#pragma once

#include <functional>
#include <memory>

#include "bench/load/tally.hpp"

namespace boost::asio {
class io_context;
}

namespace preforkd::bench {

/// One thread's event loop.
class EventLoop {
  public:
    enum class Sharing { none, stopped_by_other_threads };

    explicit EventLoop(Sharing sharing = Sharing::none);
    ~EventLoop();

    [[nodiscard]] boost::asio::io_context& context() noexcept { return *context_; }

    /// Runs until stop() is called.
    void run();
    void stop();

  private:
    std::unique_ptr<boost::asio::io_context> context_;
};

/// Calls back once at a given time; may be set again from inside the call. Neither moved nor
/// destroyed while its loop runs.
class Alarm {
  public:
    Alarm(EventLoop& loop, std::function<void()> callback);
    ~Alarm();

    /// Replaces an earlier time.
    void set(TimePoint at);

    /// Calls back after the events that are ready now. Requires: not set.
    void set_soon();

  private:
    struct Timer;
    std::unique_ptr<Timer> timer_;
};

}  // namespace preforkd::bench
