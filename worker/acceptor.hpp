#pragma once

#include <functional>

#include "worker/session_group.hpp"

namespace preforkd::worker {

/// Takes connections from one listening socket and starts their sessions. When the process has no
/// descriptor or memory for another one, it pauses until a session ends or the clock ticks; those
/// who wait stay in the kernel's queue, where another worker may take them.
class Acceptor : public Readiness<Acceptor> {
  public:
    /// `socket` listens and is non-blocking.
    Acceptor(SessionGroup& group, Listener listener, UniqueFd socket);

    void start();

    /// Calls `callback` when the socket turns out not to listen any more, and has been closed.
    void on_deaf(std::function<void()> callback) { deaf_ = std::move(callback); }

    /// Takes what is queued, unless it is left to another worker, and closes the socket.
    void stop(Queue queue);

    /// Closes the socket, leaving what is queued.
    void close() noexcept;

    /// Tries again if paused: a descriptor may be free now.
    void resume();

    void on_ready();

    [[nodiscard]] const Listener& listener() const noexcept { return listener_; }
    [[nodiscard]] bool paused() const noexcept { return paused_; }
    [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }

  private:
    enum class Outcome { accepted, skipped, nothing, exhausted, dead };

    Outcome accept_one();
    Outcome judge_failure();
    void tell_exhausted(int error);
    Outcome accept_many(unsigned count);
    [[nodiscard]] unsigned pending_count() const noexcept;
    void wait_for_more();
    void pause();
    void continue_later();

    SessionGroup& group_;
    Listener listener_;
    UniqueFd socket_;
    std::function<void()> deaf_;
    bool paused_ = false;
    bool waiting_ = false;
    bool exhausted_ = false;
    Tick silent_until_ = 0;
};

}  // namespace preforkd::worker
