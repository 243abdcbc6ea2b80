#pragma once

#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/io_context.hpp>

#include "shared/result.hpp"
#include "shared/unique_fd.hpp"

// The only file that uses boost::asio::detail (tried with Boost 1.81; readiness_public.hpp is the
// way without). An operation of our own on Asio's reactor avoids what the public ones cost:
// async_read_some() calls recv again after a short read (one EAGAIN per request), async_wait()
// re-arms with EPOLL_CTL_MOD (one epoll_ctl per request).

namespace preforkd::worker {

class Reactor {
  public:
    explicit Reactor(boost::asio::io_context& context)
        : epoll_(boost::asio::use_service<boost::asio::detail::epoll_reactor>(context)) {
        epoll_.init_task();
    }

  private:
    template <class Owner>
    friend class Readiness;
    boost::asio::detail::epoll_reactor& epoll_;
};

template <class Owner>
class Readiness : private boost::asio::detail::reactor_op {
    using Epoll = boost::asio::detail::epoll_reactor;
    using Operation = boost::asio::detail::operation;

  public:
    Readiness(const Readiness&) = delete;
    Readiness& operator=(const Readiness&) = delete;

    /// Errors: those of epoll_ctl(2) when it joins; on_ready() is not called then.
    error_code wait(Reactor& reactor, int fd, Interest interest) {
        auto descriptor = registration();
        joining() = descriptor == nullptr;
        if (descriptor == nullptr) {
            const int error = reactor.epoll_.register_descriptor(fd, descriptor);
            if (error != 0) {
                reactor.epoll_.deregister_descriptor(fd, descriptor, true);
                reactor.epoll_.cleanup_descriptor_data(descriptor);
                return {error, boost::system::system_category()};
            }
            cancellation_key_ = descriptor;
        }
        const int kind = interest == Interest::readable ? Epoll::read_op : Epoll::write_op;
        reactor.epoll_.start_op(kind, fd, descriptor, this, true, true);
        joining() = false;
        return {};
    }

    void cancel(Reactor& reactor, int fd) {
        auto descriptor = registration();
        reactor.epoll_.cancel_ops(fd, descriptor);
    }

    void close(Reactor& reactor, UniqueFd& fd) {
        auto descriptor = registration();
        reactor.epoll_.deregister_descriptor(fd.get(), descriptor, true);
        fd.reset();
        reactor.epoll_.cleanup_descriptor_data(descriptor);
        cancellation_key_ = nullptr;
    }

    void leave(Reactor& reactor, int fd) {
        auto descriptor = registration();
        reactor.epoll_.deregister_descriptor(fd, descriptor, false);
        reactor.epoll_.cleanup_descriptor_data(descriptor);
        cancellation_key_ = nullptr;
    }

  protected:
    Readiness() : reactor_op(error_code(), &Readiness::perform, &Readiness::complete) {}
    ~Readiness() = default;

  private:
    // Asio calls this when the descriptor became ready, and in start_op() when it did so since the
    // last wait ended ("exhausted" tells it that nothing is left over). A descriptor that has just
    // joined looks ready to it without being so; epoll reports what is there already.
    static status perform(reactor_op* base) noexcept {
        return static_cast<Readiness*>(base)->joining() ? not_done : done_and_exhausted;
    }

    // Without an owner the io_context is being destroyed.
    static void complete(void* owner, Operation* base, const error_code&, std::size_t) {
        if (owner != nullptr) static_cast<Owner*>(static_cast<Readiness*>(base))->on_ready();
    }

    // Two fields of reactor_op that mean nothing to an operation like this one; a connection has
    // one of these all its life, so each word counts.
    Epoll::per_descriptor_data registration() const noexcept {
        return static_cast<Epoll::per_descriptor_data>(cancellation_key_);
    }
    std::size_t& joining() noexcept { return bytes_transferred_; }
};

}  // namespace preforkd::worker
