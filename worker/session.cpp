#include "worker/session.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <preforkd/service.hpp>

#include "worker/acknowledged.hpp"

namespace preforkd::worker {
namespace {

// A service that never waits (pipelined input, a fast peer) lets the others have a turn.
constexpr std::uint16_t attempts_per_turn = 1024;
// A service that goes on after its connection has ended will not stop by itself.
constexpr std::uint8_t failures_allowed = 200;

constexpr std::uint16_t default_read_timeout = 301;  // ticks: 5 minutes and the one that has begun
constexpr std::uint16_t default_send_timeout = 31;

// A peer that takes less is no reader. Unit: bytes per second.
constexpr std::uint32_t lowest_send_rate = 1024;

Tick after(Tick now, std::uint16_t ticks) noexcept {
    return ticks == 0 ? never : now + ticks;
}

// A service that reads until it gets nothing has no word for this.
void log_too_long(const Session& session) {
    session.group().logger().info("message too long; connection closed",
                                  {{"service", session.listener().service_name},
                                   {"listener", session.listener().name},
                                   {"peer", session.peer().render()}});
}

}  // namespace

// Half of what an idle connection costs; memory comes in steps of 16 bytes.
static_assert(sizeof(Session) <= 224);

Session::Session(const Listener& listener, UniqueFd socket, const PeerAddress& peer)
    : drained_(!listener.input_expected),
      came_in_drain_(listener.group->draining()),
      socket_(std::move(socket)),
      peer_(peer),
      listener_(listener),
      id_(listener.group->next_id()) {
    read_timeout_ = default_read_timeout;
    send_timeout_ = default_send_timeout;
    listener_.counters->accepted.add();
}

void Session::begin() {
    try {
        task_ = listener_.service->serve(*this);
    } catch (...) {  // no memory for the frame, or serve() is no coroutine
        log_failure(std::current_exception());
        reset_ = true;
        return finish();
    }
    task_.start(*this);
}

void Session::task_ended(std::exception_ptr failure) noexcept {
    task_.reset();
    if (failure) {
        log_failure(failure);
        reset_ = true;  // half an answer must not look like a whole one
    } else if (why_ == End::too_long) {
        log_too_long(*this);
    }
    finish();
}

void Session::log_failure(const std::exception_ptr& failure) const {
    listener_.counters->failures.add();
    std::string text = "unknown exception";
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& exception) {
        text = exception.what();
    } catch (...) {
    }
    group().logger().error("service failed; connection closed",
                           {{"service", listener_.service_name},
                            {"listener", listener_.name},
                            {"peer", peer_.render()},
                            {"error", text}});
}

bool Session::attempt(Operation& operation) {
    if (++attempts_ >= attempts_per_turn) {
        yield();
        return false;
    }
    return operation.advance();
}

void Session::suspend(Operation& operation, std::coroutine_handle<> waiter) {
    operation_ = &operation;
    waiter_ = waiter;
    read_until_ = after(group().wheel().now(), read_timeout_);
    start_wait();
}

Session::Attempt Session::fail(End reason) noexcept {
    why_ = reason;
    if (!input_ended_ && !broken_ && !group().is_cut()) return Attempt::failed;
    if (++failures_ < failures_allowed) return Attempt::failed;
    group().logger().error("service goes on after its connection has ended; stopped",
                           {{"service", listener_.service_name},
                            {"listener", listener_.name},
                            {"peer", peer_.render()}});
    stage_ = Stage::doomed;
    return yield();
}

Session::Attempt Session::yield() noexcept {
    need_ = Need::turn;
    return Attempt::wait;
}

Session::Attempt Session::wait_for_timer() noexcept {
    need_ = Need::timer;
    return Attempt::wait;
}

void Session::start_wait() {
    waiting_ = true;
    if (need_ == Need::timer) return;
    if (need_ != Need::turn) {
        begin_wait_time();
        schedule();
        const Interest interest = need_ == Need::readable ? Interest::readable : Interest::writable;
        const error_code error = wait(group().reactor(), socket_.get(), interest);
        if (!error) return;
        group().logger().error("epoll refuses a connection; closed",
                               {{"peer", peer_.render()}, {"error", error.message()}});
        break_connection();
    }
    boost::asio::post(group().context(), [this] { on_ready(); });
}

void Session::on_ready() {
    waiting_ = false;
    attempts_ = 0;
    if (need_ == Need::readable) drained_ = false;
    if (stage_ == Stage::doomed) {
        task_.reset();
        return close();
    }
    if (stage_ == Stage::sending) return finish();
    if (stage_ == Stage::lingering) return linger_on();
    if (!operation_->advance()) return start_wait();
    operation_ = nullptr;
    timed_out_ = false;
    std::exchange(waiter_, nullptr).resume();
}

// Makes a pending wait come back soon.
void Session::end_wait() {
    if (!waiting_) return;
    if (need_ == Need::readable || need_ == Need::writable)
        cancel(group().reactor(), socket_.get());
    if (need_ == Need::timer) operation_->interrupt();
}

bool Session::take_woken() noexcept {
    const bool was = woken_;
    woken_ = false;
    return was;
}

bool Session::take_timed_out() noexcept {
    const bool was = timed_out_;
    timed_out_ = false;
    return was;
}

void Session::wake() {
    woken_ = true;
    if (need_ == Need::readable || need_ == Need::timer) end_wait();
}

// --- time ---

// A peer that takes a little now and then gets no more time by that: check_pace() decides. Only of
// TCP can be told how much it took; elsewhere any progress counts.
void Session::begin_wait_time() noexcept {
    if (need_ == Need::writable && blocked_ && peer_.port() != 0) return;
    blocked_ = need_ == Need::writable;
    paced_ = false;
    wait_until_ = wait_limit();
}

Tick Session::wait_limit() const noexcept {
    if (need_ == Need::writable)
        return std::min(deadline_, after(group().wheel().now(), send_timeout_));
    return std::min({deadline_, read_until_, grace_limit()});
}

bool Session::waits_for_message() const noexcept {
    return stage_ == Stage::serving && need_ == Need::readable && begin_ == end_;
}

Tick Session::grace_limit() const noexcept {
    if (!group().draining() || !waits_for_message()) return never;
    if (rule_ != OnDrain::grace && rule_ != OnDrain::idle) return never;
    if (came_in_drain_ || rule_ == OnDrain::idle) return group().grace_from_now();
    return group().grace_until();
}

End Session::reason_not_to_wait() noexcept {
    if (group().is_cut()) return End::draining;
    if (take_woken()) return End::woken;
    const bool timed_out = take_timed_out();
    const bool may_leave = group().draining() && rule_ != OnDrain::wait && begin_ == end_;
    const bool at_once = rule_ == OnDrain::wake || (rule_ == OnDrain::grace && heard_in_drain_);
    if (may_leave && at_once) return End::draining;
    if (may_leave && timed_out && group().wheel().now() < std::min(deadline_, read_until_))
        return End::draining;
    if (timed_out || deadline_ <= group().wheel().now()) return End::deadline;
    return End::none;
}

// Sees to it that on_tick() is called in time. Most waits end within the tick in which they began;
// for those this moves the entry once per tick.
void Session::schedule() {
    Tick next = wait_until_;
    const bool unpaced = need_ == Need::writable && !paced_;
    if ((need_ == Need::readable && unverified_) || unpaced) next = group().wheel().now() + 1;
    if (next < due()) group().wheel().place(*this, next);
}

void Session::on_tick() {
    if (!waiting_ || need_ == Need::turn || need_ == Need::timer) return;
    if (need_ == Need::writable) check_pace();
    if (wait_until_ <= group().wheel().now()) {
        timed_out_ = true;
        return end_wait();
    }
    if (need_ == Need::readable && unverified_) check_for_end();
    schedule();
}

// An end of stream that came together with the last bytes made no event of its own: Asio doesn't
// register EPOLLRDHUP, and nothing is received after a short read. So a connection that has just
// gone idle is looked at once.
void Session::check_for_end() {
    char byte = 0;
    unverified_ = false;
    const ssize_t got = ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got >= 0 || errno != EAGAIN) end_wait();
}

// Sees whether the peer has taken enough since the last look. What the kernel takes from us says
// little: its buffer swallows megabytes at once, and then nothing for a long time.
void Session::check_pace() {
    const bool is_due = wait_until_ <= group().wheel().now();
    if (paced_ && !is_due) return;
    const auto acknowledged = acknowledged_bytes(socket_.get());
    if (!acknowledged) return;
    const std::uint32_t taken = *acknowledged - std::exchange(acknowledged_, *acknowledged);
    const bool has_kept_pace = paced_ && taken >= lowest_send_rate * (send_timeout_ - 1U);
    paced_ = true;
    if (has_kept_pace) wait_until_ = wait_limit();
}

void Session::on_drain() {
    if (!waiting_ || !waits_for_message() || rule_ == OnDrain::wait) return;
    if (rule_ == OnDrain::wake) return end_wait();
    wait_until_ = wait_limit();
    schedule();
}

void Session::on_cut() {
    if (stage_ != Stage::serving) stage_ = Stage::doomed;
    end_wait();
}

}  // namespace preforkd::worker
