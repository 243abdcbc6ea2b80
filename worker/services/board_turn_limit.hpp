#pragma once

#include <time.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "shared/types.hpp"

namespace preforkd::worker::board {

/// For so long nobody else can write when a process is stopped in its turn.
inline constexpr milliseconds longest_turn{2000};

/// Ends this process if it is stopped, or its event loop hangs, while it has its turn to write or
/// waits for it: nobody else could write until it went on, and a stopped process can't help
/// itself. So the kernel holds a timer that sends it KILL, and the event loop, as long as it lives,
/// puts that off; a disk may be as slow as it likes. What was being written is then as if it had
/// never begun, and the next writer gets LMDB's lock, which is robust.
class TurnLimit {
  public:
    /// Throws StartupError if the kernel has no timer left for us.
    explicit TurnLimit(milliseconds limit);
    ~TurnLimit();
    TurnLimit(const TurnLimit&) = delete;
    TurnLimit& operator=(const TurnLimit&) = delete;

    /// A turn is wanted, or comes; of either thread.
    void begin() noexcept;
    void end() noexcept;

    /// The event loop lives: a turn that is on has its whole time again. To be called at least
    /// twice in that time.
    void extend() noexcept;

    /// From now on there is no limit: the event loop ends, and won't extend any more.
    void lift() noexcept;

    [[nodiscard]] milliseconds limit() const noexcept { return limit_; }

  private:
    void arm(milliseconds from_now) noexcept;

    milliseconds limit_;
    timer_t timer_{};
    std::mutex mutex_;
    bool is_on_ = false;
    bool is_lifted_ = false;
};

/// Extends a limit from a thread of its own, in the place of an event loop: as long as this lives,
/// only a process that is stopped is ended.
class Pulse {
  public:
    /// `limit` outlives it. Throws StartupError if there can't be another thread.
    explicit Pulse(TurnLimit& limit);
    ~Pulse();
    Pulse(const Pulse&) = delete;
    Pulse& operator=(const Pulse&) = delete;

  private:
    void run();

    TurnLimit& limit_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool is_over_ = false;
    std::thread thread_;
};

}  // namespace preforkd::worker::board
