#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <optional>

#include "shared/result.hpp"
#include "shared/unique_fd.hpp"

// Waits through Asio's public interface: one epoll_ctl(EPOLL_CTL_MOD) for each wait, and one
// ioctl(FIONBIO) for each descriptor. For Boost versions that readiness_epoll.hpp doesn't fit.

namespace preforkd::worker {

class Reactor {
  public:
    explicit Reactor(boost::asio::io_context& context) : context_(context) {}

  private:
    template <class Owner>
    friend class Readiness;
    boost::asio::io_context& context_;
};

template <class Owner>
class Readiness {
    using Descriptor =
        boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;

  public:
    Readiness(const Readiness&) = delete;
    Readiness& operator=(const Readiness&) = delete;

    /// Errors: those of epoll_ctl(2) when it joins; on_ready() is not called then.
    error_code wait(Reactor& reactor, int fd, Interest interest) {
        if (!descriptor_) {
            descriptor_.emplace(reactor.context_);
            error_code error;
            descriptor_->assign(fd, error);
            if (error) {
                descriptor_.reset();
                return error;
            }
        }
        descriptor_->async_wait(
            interest == Interest::readable ? Descriptor::wait_read : Descriptor::wait_write,
            [this](const error_code&) { static_cast<Owner*>(this)->on_ready(); });
        return {};
    }

    void cancel(Reactor&, int) {
        error_code ignored;  // nothing to cancel is no failure here
        if (descriptor_) descriptor_->cancel(ignored);
    }

    void close(Reactor& reactor, UniqueFd& fd) {
        leave(reactor, fd.get());
        fd.reset();
    }

    void leave(Reactor&, int) {
        if (descriptor_) descriptor_->release();
        descriptor_.reset();
    }

  protected:
    Readiness() = default;

    // The descriptor belongs to a UniqueFd, never to Asio.
    ~Readiness() {
        if (descriptor_) descriptor_->release();
    }

  private:
    std::optional<Descriptor> descriptor_;
};

}  // namespace preforkd::worker
