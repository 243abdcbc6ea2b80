#pragma once

#include <sys/types.h>
#include <memory>
#include <span>
#include <string_view>

#include "bench/load/endpoint.hpp"

namespace boost::asio {
class io_context;
}

namespace preforkd::bench {

/// A client's TCP socket, used directly and without blocking; only its readiness comes from Asio.
/// One wait at a time; close() must not be called during one.
class Socket {
  public:
    /// Who is told that the wait is over.
    class Owner {
      public:
        virtual ~Owner() = default;
        /// `cancelled`: by cancel(). Otherwise the socket is ready, or seems so: try and see.
        virtual void on_ready(bool cancelled) = 0;
    };

    Socket(boost::asio::io_context& context, Owner& owner);
    ~Socket();

    /// Begins to connect; that it is under way counts as success. Returns 0 or an errno.
    /// `no_delay`: turns Nagle's algorithm off, which a connection for one request needs not.
    [[nodiscard]] int connect(const Endpoint& endpoint, bool no_delay);

    [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
    [[nodiscard]] bool is_waiting() const noexcept { return waiting_; }

    /// As send(2) and recv(2), and as those returning -1 with errno.
    ssize_t send(std::string_view bytes) noexcept;
    ssize_t receive(std::span<char> buffer) noexcept;

    void wait_readable();
    void wait_writable();
    void cancel();
    void close();

  private:
    struct Readiness;

    void finish_wait(bool cancelled) {
        waiting_ = false;
        owner_.on_ready(cancelled);
    }

    Owner& owner_;
    int fd_ = -1;
    bool waiting_ = false;
    std::unique_ptr<Readiness> readiness_;
};

}  // namespace preforkd::bench
