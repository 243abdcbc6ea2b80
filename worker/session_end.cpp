#include <sys/socket.h>

#include "worker/session.hpp"

// What happens after the service is done: the rest of its output, and a close that costs the peer
// nothing.

namespace preforkd::worker {
namespace {

// Long enough for a client that got the answer to notice the half-close, short enough that one
// which doesn't is no burden. Range: a few round trips.
constexpr seconds linger_time{2};
constexpr std::uint64_t linger_bytes = 1u << 20;

}  // namespace

void Session::finish() {
    stage_ = Stage::sending;
    if (broken_ || reset_) {
        reset_ = true;
        return close();
    }
    // With MSG_MORE the last bytes and the FIN leave in one packet. tcp(7), TCP_CORK
    const Attempt sent = send_gathered(MSG_MORE);
    if (sent == Attempt::wait) return start_wait();
    if (sent == Attempt::failed) {
        reset_ = true;
        return close();
    }
    settle();
    if (!must_linger()) return close();
    if (!half_closed_) ::shutdown(socket_.get(), SHUT_WR);
    stage_ = Stage::lingering;
    begin_ = end_ = nullptr;
    deadline_ = group().wheel().now() + ticks_for(linger_time);
    read_until_ = never;
    linger_on();
}

// Closing a socket with unread input, or one that gets more input, resets the connection, and a
// reset makes the peer's kernel forget what it had not yet read. RFC 9112 section 9.6
bool Session::must_linger() const noexcept {
    if (input_ended_) return false;
    return linger_ || !drained_ || begin_ != end_ || group().draining();
}

void Session::linger_on() {
    if (timed_out_ || discard_input()) return close();
    need_ = Need::readable;
    start_wait();
}

/// True when enough has been discarded, or nothing more can come.
bool Session::discard_input() {
    take_input();
    std::uint64_t discarded = 0;
    while (discarded < linger_bytes) {
        const ssize_t got =
            ::recv(socket_.get(), group().input().begin(), group().input().capacity(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return false;
        if (got <= 0) return true;
        discarded += static_cast<std::uint64_t>(got);
    }
    return true;
}

// Requires: no wait is pending.
void Session::close() noexcept {
    if (reset_) {
        const struct ::linger now {
            1, 0
        };  // socket(7), SO_LINGER: a reset that discards what is unsent
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    settle();
    listener_.counters->closed.add();
    Readiness<Session>::close(group().reactor(), socket_);
    leave_buffers();
    group().session_ended(*this);
}

void Session::abandon() noexcept {
    task_.reset();
    operation_ = nullptr;
    Readiness<Session>::close(group().reactor(), socket_);
    leave_buffers();
}

void Session::leave_buffers() noexcept {
    for (SharedBuffer* const buffer : {&group().input(), &group().output()})
        if (buffer->holder() == this) buffer->hand_to(nullptr);
}

}  // namespace preforkd::worker
