#include "master/listener.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "master/capabilities.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

constexpr int defer_seconds = 1;

// So much the kernel takes without being able to send it: enough for a fast peer, and no more than
// that for one that doesn't read. It lies beside what is on its way. tcp(7), TCP_NOTSENT_LOWAT.
constexpr int most_unsent = 128 * 1024;

error_code set_option(const UniqueFd& socket, int level, int name, int value) noexcept {
    if (::setsockopt(socket.get(), level, name, &value, sizeof value) < 0) return last_error();
    return {};
}

Result<UniqueFd> make_socket(int family) noexcept {
    UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) return last_error();
    return socket;
}

// Accepted sockets inherit these: two calls here instead of two per connection.
error_code set_tcp_options(const UniqueFd& socket) noexcept {
    if (const auto error = set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1)) return error;
    return set_option(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, most_unsent);
}

error_code bind_to(const UniqueFd& socket, const Address& address) noexcept {
    if (::bind(socket.get(), address.get(), address.length) < 0) return last_error();
    return {};
}

error_code bind_tcp(const UniqueFd& socket, const Address& address,
                    const ListenerOptions& options) noexcept {
    if (const auto error = set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1)) return error;
    if (address.family() == AF_INET6)  // so that *:80 and [::]:80 can stand side by side
        if (const auto error = set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return error;
    if (const auto error = set_tcp_options(socket)) return error;
    const auto share = [&] { return set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1); };
    if (options.beside_our_own)
        if (const auto error = share()) return error;
    if (const auto error = bind_to(socket, address)) return error;
    // Only after bind(2): with it before, "address in use" would never be said to two programs of
    // one user, and they would share the clients. It may be set at any time before listen(2).
    return share();
}

/// Whether the socket at the path of `address` has nobody behind it any more.
bool is_stale(const Address& address) noexcept {
    const auto probe = make_socket(AF_UNIX);
    if (!probe) return false;
    return ::connect(probe->get(), address.get(), address.length) < 0 && errno == ECONNREFUSED;
}

const char* path_of(const Address& address) noexcept {
    return reinterpret_cast<const sockaddr_un&>(address.storage).sun_path;
}

error_code remove_stale(const Address& address, std::optional<uid_t> workers) noexcept {
    struct stat found {};
    if (::lstat(path_of(address), &found) < 0) {
        if (errno == ENOENT) return {};
        return last_error();
    }
    if (!S_ISSOCK(found.st_mode)) return {EEXIST, boost::system::system_category()};
    if (!is_stale(address)) return {EADDRINUSE, boost::system::system_category()};
    if (found.st_uid != ::geteuid() && found.st_uid != workers)
        return {EPERM, boost::system::system_category()};
    if (::unlink(path_of(address)) < 0) return last_error();
    return {};
}

error_code bind_unix(const UniqueFd& socket, const Address& address,
                     std::optional<uid_t> workers) noexcept {
    if (const auto error = remove_stale(address, workers)) return error;
    // Connecting takes write permission on the path. Who may come near is its folder's business.
    const mode_t before = ::umask(0111);
    const error_code error = bind_to(socket, address);
    ::umask(before);
    return error;
}

}  // namespace

Result<Listener> Listener::open(const Address& address, const ListenerOptions& options,
                                std::optional<uid_t> workers) {
    auto socket = make_socket(address.family());
    if (!socket) return socket.error();
    Listener listener(std::move(*socket), address);
    const error_code failed = address.is_unix() ? bind_unix(listener.socket_, address, workers)
                                                : bind_tcp(listener.socket_, address, options);
    if (failed) return failed;
    if (address.is_unix()) {
        refuse_descriptors(listener.socket_);
        struct stat made {};
        if (::lstat(path_of(address), &made) < 0) return last_error();
        listener.device_ = made.st_dev;
        listener.inode_ = made.st_ino;
    } else if (const error_code error = listener.read_address()) {
        return error;
    }
    if (const error_code error = listener.apply(options)) return error;
    return listener;
}

Result<Listener> Listener::adopt(UniqueFd socket) {
    const auto option = [&](int name) {
        int value = -1;
        socklen_t length = sizeof value;
        return ::getsockopt(socket.get(), SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
    };
    if (option(SO_TYPE) != SOCK_STREAM || option(SO_ACCEPTCONN) != 1)
        return error_code(EINVAL, boost::system::system_category());
    const int flags = ::fcntl(socket.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) < 0 ||
        ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) < 0)
        return last_error();
    Listener listener(std::move(socket), Address{});
    listener.adopted_ = true;
    if (const error_code error = listener.read_address()) return error;
    if (listener.address_.is_unix())
        refuse_descriptors(listener.socket_);
    else if (const auto error = set_tcp_options(listener.socket_))
        return error;
    return listener;
}

SavedSocket Listener::save() const {
    return {descriptor_of(socket_),
            std::string(reinterpret_cast<const char*>(&address_.storage), address_.length), device_,
            inode_, adopted_};
}

Listener Listener::restore(const SavedSocket& saved) {
    Listener listener(UniqueFd(saved.socket.number), {});
    sockaddr_storage storage{};
    const auto length = std::min(saved.address.size(), sizeof storage);
    std::memcpy(&storage, saved.address.data(), length);
    listener.address_ =
        make_address(reinterpret_cast<sockaddr*>(&storage), static_cast<socklen_t>(length));
    if (listener.address_.is_unix()) refuse_descriptors(listener.socket_);
    listener.device_ = saved.device;
    listener.inode_ = saved.inode;
    listener.adopted_ = saved.adopted;
    return listener;
}

Listener::~Listener() {
    if (socket_.is_open()) remove_path();
}

void Listener::remove_path() noexcept {
    if (inode_ == 0) return;
    const FileAccess as_at_start;
    struct stat now {};
    if (::lstat(path_of(address_), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_)
        ::unlink(path_of(address_));
    inode_ = 0;
}

error_code Listener::apply(const ListenerOptions& options) const noexcept {
    if (!address_.is_unix()) {
        const int wait = options.client_speaks_first ? defer_seconds : 0;
        if (const auto error = set_option(socket_, IPPROTO_TCP, TCP_DEFER_ACCEPT, wait))
            return error;
    }
    if (::listen(socket_.get(), static_cast<int>(options.backlog)) < 0) return last_error();
    return {};
}

// One of TCP is as new then; a unix socket counts as listening, and shows only that nothing will
// ever come. What can't be found out is no reason to bind anew. Source: shutdown(2);
// unix_stream_connect() in net/unix/af_unix.c.
bool Listener::listens() const noexcept {
    int listens = 0;
    socklen_t length = sizeof listens;
    pollfd question{socket_.get(), POLLRDHUP, 0};
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) < 0) return true;
    return listens != 0 && ::poll(&question, 1, 0) <= 0;
}

error_code Listener::read_address() noexcept {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&storage), &length) < 0)
        return last_error();
    address_ = make_address(reinterpret_cast<sockaddr*>(&storage), length);
    return {};
}

}  // namespace preforkd::master
