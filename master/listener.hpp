#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "master/descriptor.hpp"
#include "shared/address.hpp"
#include "shared/result.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// What a listening socket is to be like beyond its address.
struct ListenerOptions {
    unsigned backlog = 0;              ///< connections that may wait to be accepted; listen(2)
    bool client_speaks_first = false;  ///< defer accepting until data is there, or a second passed
    /// Bind beside our own listeners whose address covers this one. Else the address must be free.
    bool beside_our_own = false;
};

/// A listener as the next program takes it over.
struct SavedSocket {
    Descriptor socket;
    std::string address;  ///< the bytes of its sockaddr
    dev_t device = 0;
    ino_t inode = 0;
    bool adopted = false;
};

/// A listening socket: non-blocking, close-on-exec, TCP ones with SO_REUSEPORT so that more of ours
/// can join. Removes the path of a unix socket at its end, if it is still the one it made.
class Listener {
  public:
    /// Binds and listens. A unix socket's path may hold a socket that nobody answers on, which is
    /// removed if it is ours or that of `workers`, as whom this server may have run before;
    /// everybody who can reach the path may connect.
    /// Errors: EADDRINUSE  somebody listens there; EACCES  a port below 1024, or a path;
    ///         EADDRNOTAVAIL  not an address of this machine; EEXIST  the path is no socket;
    ///         EPERM  nobody answers, but the socket is somebody else's.
    [[nodiscard]] static Result<Listener> open(const Address& address,
                                               const ListenerOptions& options,
                                               std::optional<uid_t> workers = {});

    /// Takes a listening stream socket that somebody else made, such as the service manager.
    /// Its path stays theirs. Errors: EINVAL  it isn't one.
    [[nodiscard]] static Result<Listener> adopt(UniqueFd socket);

    /// What restore() goes on with; the socket stays this one's until the exec.
    [[nodiscard]] SavedSocket save() const;
    [[nodiscard]] static Listener restore(const SavedSocket& saved);

    Listener(Listener&& other) noexcept
        : socket_(std::move(other.socket_)),
          address_(std::move(other.address_)),
          device_(other.device_),
          inode_(std::exchange(other.inode_, 0)),
          adopted_(other.adopted_) {}
    Listener& operator=(Listener&&) = delete;
    ~Listener();

    /// Makes `backlog` and `client_speaks_first` so from now on. Source: listen(2); tcp(7),
    /// TCP_DEFER_ACCEPT.
    error_code apply(const ListenerOptions& options) const noexcept;

    /// Whether clients can come. Whoever has a listening socket can shut it down for all.
    [[nodiscard]] bool listens() const noexcept;

    /// Removes a unix socket's path, if it is still the one it made: nobody can connect any more.
    void remove_path() noexcept;

    [[nodiscard]] const UniqueFd& socket() const noexcept { return socket_; }
    /// Somebody else made it.
    [[nodiscard]] bool is_adopted() const noexcept { return adopted_; }
    /// With the port that the kernel chose.
    [[nodiscard]] const Address& address() const noexcept { return address_; }

  private:
    Listener(UniqueFd socket, Address address) noexcept
        : socket_(std::move(socket)), address_(std::move(address)) {}

    error_code read_address() noexcept;

    UniqueFd socket_;
    Address address_;
    dev_t device_ = 0;
    ino_t inode_ = 0;  ///< 0: there is no path of ours
    bool adopted_ = false;
};

}  // namespace preforkd::master
