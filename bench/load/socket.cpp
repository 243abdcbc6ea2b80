#include "bench/load/socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cassert>
#include <cerrno>
#include <utility>

#ifdef PREFORKD_PUBLIC_REACTOR
#include <boost/asio/posix/stream_descriptor.hpp>
#else
#include <boost/asio/detail/reactor.hpp>
#include <boost/asio/detail/reactor_op.hpp>
#endif

namespace preforkd::bench {

namespace asio = boost::asio;

#ifdef PREFORKD_PUBLIC_REACTOR

/// Readiness by Asio's public interface: one epoll_ctl for each wait.
struct Socket::Readiness {
    Readiness(asio::io_context& context, Socket& socket) : descriptor(context), owner(socket) {}

    void wait(asio::posix::stream_descriptor::wait_type what) {
        if (!descriptor.is_open()) descriptor.assign(owner.fd_);
        descriptor.async_wait(what, [this](const boost::system::error_code& error) {
            owner.finish_wait(error == asio::error::operation_aborted);
        });
    }
    void wait_readable() { wait(asio::posix::stream_descriptor::wait_read); }
    void wait_writable() { wait(asio::posix::stream_descriptor::wait_write); }
    void cancel() { descriptor.cancel(); }
    void close() {
        if (descriptor.is_open()) descriptor.release();
    }

    asio::posix::stream_descriptor descriptor;
    Socket& owner;
};

#else

/// Readiness by a reactor operation of our own. Asio's public ways cost a system call for each
/// wait: async_read_some tries a read that finds nothing, async_wait arms epoll anew. A client that
/// makes them is dearer than the server that it measures. Tied to the reactor's internal interface,
/// last tried with Boost 1.81; PREFORKD_PUBLIC_REACTOR chooses the public one.
struct Socket::Readiness {
    using Reactor = asio::detail::reactor;

    struct Operation : asio::detail::reactor_op {
        explicit Operation(Socket& socket)
            : reactor_op(boost::system::error_code(), &Operation::perform, &Operation::complete),
              owner(socket) {}

        // Called first by start_op, which hopes for success at once, then when epoll tells of it.
        static status perform(reactor_op* base) {
            auto* self = static_cast<Operation*>(base);
            return std::exchange(self->armed, true) ? done : not_done;
        }
        static void complete(void* scheduler, asio::detail::operation* base,
                             const boost::system::error_code&, std::size_t) {
            auto* self = static_cast<Operation*>(base);
            if (scheduler != nullptr)
                self->owner.finish_wait(self->ec_ == asio::error::operation_aborted);
        }

        Socket& owner;
        bool armed = false;
    };

    Readiness(asio::io_context& context, Socket& socket)
        : reactor(asio::use_service<Reactor>(context)), owner(socket), operation(socket) {
        reactor.init_task();
    }

    void wait(int what) {
        if (data == nullptr) reactor.register_descriptor(owner.fd_, data);
        operation.armed = false;
        operation.ec_ = {};
        reactor.start_op(what, owner.fd_, data, &operation, true, true);
    }
    void wait_readable() { wait(Reactor::read_op); }
    void wait_writable() { wait(Reactor::write_op); }
    void cancel() { reactor.cancel_ops(owner.fd_, data); }
    void close() {
        if (data == nullptr) return;
        reactor.deregister_descriptor(owner.fd_, data, true);
        reactor.cleanup_descriptor_data(data);
        data = nullptr;
    }

    Reactor& reactor;
    Socket& owner;
    Operation operation;
    Reactor::per_descriptor_data data = nullptr;
};

#endif

Socket::Socket(asio::io_context& context, Owner& owner)
    : owner_(owner), readiness_(std::make_unique<Readiness>(context, *this)) {}

Socket::~Socket() {
    close();
}

int Socket::connect(const Endpoint& endpoint, bool no_delay) {
    assert(fd_ < 0);
    fd_ = ::socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return errno;
    const int one = 1;
    if (no_delay) ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const int status =
        ::connect(fd_, reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.length);
    if (status == 0 || errno == EINPROGRESS) return 0;
    const int error = errno;
    close();
    return error;
}

ssize_t Socket::send(std::string_view bytes) noexcept {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

ssize_t Socket::receive(std::span<char> buffer) noexcept {
    return ::recv(fd_, buffer.data(), buffer.size(), 0);
}

void Socket::wait_readable() {
    waiting_ = true;
    readiness_->wait_readable();
}

void Socket::wait_writable() {
    waiting_ = true;
    readiness_->wait_writable();
}

void Socket::cancel() {
    if (waiting_) readiness_->cancel();
}

void Socket::close() {
    assert(!waiting_);
    if (fd_ < 0) return;
    readiness_->close();
    ::close(std::exchange(fd_, -1));
}

}  // namespace preforkd::bench
