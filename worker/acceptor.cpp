#include "worker/acceptor.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <preforkd/service.hpp>

#include "worker/park.hpp"

namespace preforkd::worker {
namespace {

// Connections accepted in one go, before those that are being served have their turn.
constexpr unsigned batch = 32;

// It may be so for hours, with thousands of clients a second.
constexpr Tick ticks_between_complaints = 10;

// Without TCP_DEFER_ACCEPT a connection arrives before its first bytes do. tcp(7)
bool arrives_with_input(const UniqueFd& socket) noexcept {
    int defer_seconds = 0;
    socklen_t size = sizeof defer_seconds;
    return ::getsockopt(socket.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer_seconds, &size) == 0 &&
           defer_seconds > 0;
}

// Accepted sockets inherit it. A unix socket knows no such thing, and needs it not. A little later
// than the worker itself gives a peer up: it sends a reset, and the kernel then does not.
void limit_unacknowledged(const UniqueFd& socket, seconds limit) noexcept {
    if (limit == seconds(0)) return;
    const auto wait = static_cast<int>(milliseconds(limit + seconds(3)).count());
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &wait, sizeof wait);
}

// One that was shut down wakes us, and then looks as if nobody had come: to TCP_INFO, and if it is
// a unix socket to accept4(2) as well.
bool listens(const UniqueFd& socket) noexcept {
    pollfd question{socket.get(), POLLRDHUP, 0};
    return ::poll(&question, 1, 0) <= 0;
}

std::uint64_t descriptor_limit() noexcept {
    rlimit limit{};
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace

Acceptor::Acceptor(SessionGroup& group, Listener listener, UniqueFd socket)
    : group_(group), listener_(std::move(listener)), socket_(std::move(socket)) {
    listener_.group = &group_;
    if (listener_.counters == nullptr) listener_.counters = &group_.page().section(0);
    listener_.input_expected = arrives_with_input(socket_);
    limit_unacknowledged(socket_, listener_.service->unacknowledged_limit());
}

void Acceptor::start() {
    if (!waiting_ && !paused_) wait_for_more();
}

void Acceptor::on_ready() {
    waiting_ = false;
    if (!socket_.is_open() || paused_) return;
    const unsigned pending = pending_count();
    Outcome outcome = accept_many(std::min(pending, batch));
    if (outcome == Outcome::nothing && !listens(socket_)) {
        errno = EINVAL;
        outcome = judge_failure();
    }
    switch (outcome) {
        case Outcome::exhausted:
            return pause();
        case Outcome::dead:
            close();
            if (deaf_) deaf_();
            return;
        case Outcome::nothing:
            return wait_for_more();
        default:
            return pending > batch ? continue_later() : wait_for_more();
    }
}

Acceptor::Outcome Acceptor::accept_many(unsigned count) {
    Outcome outcome = Outcome::nothing;
    for (unsigned taken = 0; taken < count && socket_.is_open(); ++taken) {
        outcome = accept_one();
        if (outcome != Outcome::accepted && outcome != Outcome::skipped) break;
    }
    return outcome;
}

// An accept4 that finds nothing costs half as much as one that finds something (the kernel makes
// the socket first), so ask how many there are. Those who come later make a new event.
// Source: tcp(7), TCP_INFO; net/ipv4/tcp.c: of a listening socket tcpi_unacked is the queue.
unsigned Acceptor::pending_count() const noexcept {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
        return info.tcpi_unacked;
    return batch + 1;  // a unix socket: until it finds nothing
}

Acceptor::Outcome Acceptor::accept_one() {
    sockaddr_storage address;
    socklen_t size = sizeof address;
    address.ss_family = AF_UNSPEC;
    UniqueFd connection(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size,
                                  SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connection.is_open()) return judge_failure();
    exhausted_ = false;
    try {
        group_.start(std::move(connection), PeerAddress(address), listener_);
    } catch (const std::bad_alloc&) {
        errno = ENOMEM;
        return judge_failure();
    }
    return Outcome::accepted;
}

// Source: accept(2), ERRORS: network errors of the new connection are reported here, too.
Acceptor::Outcome Acceptor::judge_failure() {
    switch (const int error = errno) {
        case EAGAIN:
            return Outcome::nothing;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            tell_exhausted(error);
            group_.report_full();
            // Once for each that is accepted: others may have taken what that gave back.
            if (!std::exchange(exhausted_, true)) (void)listener_.service->make_room();
            return Outcome::exhausted;
        case EBADF:
        case EINVAL:
        case ENOTSOCK:
            group_.logger().error(
                "listening socket is unusable; closed",
                {{"listener", listener_.name},
                 {"error", error_code(error, boost::system::system_category()).message()}});
            return Outcome::dead;
        default:
            return Outcome::skipped;  // that connection has failed already
    }
}

void Acceptor::tell_exhausted(int error) {
    const Tick now = group_.wheel().now();
    if (now < silent_until_) return;
    silent_until_ = now + ticks_between_complaints;
    group_.logger().error(
        "can't accept for want of descriptors or memory; waits until a connection ends: raise "
        "LimitNOFILE or lower max_connections",
        {{"listener", listener_.name},
         {"error", error_code(error, boost::system::system_category()).message()},
         {"connections", group_.size()},
         {"descriptor_limit", descriptor_limit()}});
}

void Acceptor::wait_for_more() {
    if (!socket_.is_open()) return;
    const error_code error = wait(group_.reactor(), socket_.get(), Interest::readable);
    waiting_ = !error;
    if (!error) return;
    group_.logger().error("epoll refuses a listening socket; tries again",
                          {{"listener", listener_.name}, {"error", error.message()}});
    pause();
}

// The clock must tick, or a worker without sessions would wait for ever.
void Acceptor::pause() {
    paused_ = true;
    group_.add_reason_to_tick();
}

void Acceptor::resume() {
    if (!paused_) return;
    paused_ = false;
    group_.withdraw_reason_to_tick();
    continue_later();
}

void Acceptor::continue_later() {
    waiting_ = true;
    boost::asio::post(group_.context(), [this] { on_ready(); });
}

void Acceptor::stop(Queue queue) {
    if (!socket_.is_open()) return;
    while (queue == Queue::taken) {
        const unsigned pending = pending_count();
        if (pending == 0) break;
        const Outcome outcome = accept_many(pending);
        if (outcome != Outcome::accepted && outcome != Outcome::skipped) break;
    }
    close();
}

// The master has the listening socket too, so closing it would leave it in our epoll set.
void Acceptor::close() noexcept {
    if (!socket_.is_open()) return;
    leave(group_.reactor(), socket_.get());
    park(std::move(socket_));
    if (std::exchange(paused_, false)) group_.withdraw_reason_to_tick();
}

}  // namespace preforkd::worker
