#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "attacks.hpp"
#include "shared/channel.hpp"

// What lies next to what a declared need opens. By number, as in attacks.cpp.

namespace preforkd::testing {
namespace {

/// A regular file that the worker has open so, or -1.
int open_file(int mode, int flag) {
    for (int descriptor = 0; descriptor < 64; ++descriptor) {
        struct stat status {};
        const int flags = ::fcntl(descriptor, F_GETFL);
        if (flags >= 0 && (flags & O_ACCMODE) == mode && (flags & flag) == flag &&
            ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode))
            return descriptor;
    }
    return -1;
}

int data_file() {
    return open_file(O_RDWR, 0);
}
int log_file() {
    return open_file(O_WRONLY, O_APPEND);
}

long make_socket(long family, long type, long protocol = 0) {
    return ::syscall(SYS_socket, family, type, protocol);
}

int new_socket(int family = AF_INET) {
    return static_cast<int>(make_socket(family, SOCK_STREAM));
}

long bind_new(long) {
    sockaddr_in anywhere{};
    anywhere.sin_family = AF_INET;
    return ::syscall(SYS_bind, new_socket(), &anywhere, sizeof anywhere);
}

/// To the socket that it accepts from itself.
long connect_to_listener(long) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (::getsockname(listening_socket(), reinterpret_cast<sockaddr*>(&address), &size) < 0)
        return -1;
    return ::syscall(SYS_connect, new_socket(), &address, size);
}

/// Its own listening socket, passed to itself, would have a number that nobody guards.
long take_unix_listener_down(long) {
    const int listener = listening_socket();
    const int sending = new_socket(AF_UNIX);
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) < 0 ||
        ::connect(sending, reinterpret_cast<sockaddr*>(&address), size) < 0)
        return -1;
    const int receiving = ::accept4(listener, nullptr, nullptr, 0);
    if (::dup2(receiving, channel_fd) < 0 || pass_over(sending, listener) < 0) return -1;
    char bytes[8];
    iovec part{bytes, sizeof bytes};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    int copy = -1;
    if (::recvmsg(channel_fd, &header, 0) < 0 || CMSG_FIRSTHDR(&header) == nullptr) return -1;
    std::memcpy(&copy, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof copy);
    return ::shutdown(copy, SHUT_RDWR);
}

long connect_abstract(long victim) {
    const std::string name = abstract_name(victim);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
    return ::syscall(SYS_connect, new_socket(AF_UNIX), &address,
                     offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

long set_option_of_new(int level, int option) {
    const int on = 1;
    return ::syscall(SYS_setsockopt, new_socket(), level, option, &on, sizeof on);
}

long request_of(int descriptor, unsigned long request) {
    char argument[256]{};
    return ::syscall(SYS_ioctl, descriptor, request, argument);
}

long lock(int descriptor) {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    return ::syscall(SYS_fcntl, descriptor, F_SETLK, &whole);
}

constexpr unsigned long thread_flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                       CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                                       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

long clone_with(unsigned long flags) {
    return ::syscall(SYS_clone, flags, 0, 0, 0, 0);
}

long in_thread(long (*attempt)()) {
    long result = -1;
    int error = 0;
    std::thread([&] {
        result = attempt();
        error = errno;
    }).join();
    errno = error;
    return result;
}

}  // namespace

std::string abstract_name(long victim) {
    return "preforkd-test-" + std::to_string(victim);
}

const std::vector<Attack>& attacks_on_connecting() {
    static const std::vector<Attack> all{
        {"connect_tcp", connect_to_listener, allowed},
        {"connect_abstract", connect_abstract, EPERM},
        {"bind_new", bind_new},
        {"listen_new", [](long) { return ::syscall(SYS_listen, new_socket(), 1); }},
        {"socket_datagrams", [](long) { return make_socket(AF_INET, SOCK_DGRAM); }},
        {"socket_raw", [](long) { return make_socket(AF_INET, SOCK_RAW, IPPROTO_TCP); }},
        {"socket_packets", [](long) { return make_socket(AF_UNIX, SOCK_SEQPACKET); }},
        {"socket_vsock", [](long) { return make_socket(AF_VSOCK, SOCK_STREAM); }},
        {"socket_alg", [](long) { return make_socket(AF_ALG, SOCK_SEQPACKET); }},
        {"socket_sctp", [](long) { return make_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP); }},
        {"socket_upper_bits", [](long) { return make_socket(AF_INET | 1L << 32, SOCK_STREAM); }},
        {"repair", [](long) { return set_option_of_new(IPPROTO_TCP, TCP_REPAIR); }},
        {"reuse_port", [](long) { return set_option_of_new(SOL_SOCKET, SO_REUSEPORT); }},
        {"mark", [](long) { return set_option_of_new(SOL_SOCKET, SO_MARK); }},
        {"other_protocols_library", [](long) { return set_option_of_new(IPPROTO_TCP, TCP_ULP); }},
        {"nodelay_on_listener",
         [](long) {
             const int on = 1;
             return ::syscall(SYS_setsockopt, listening_socket(), IPPROTO_TCP, TCP_NODELAY, &on,
                              sizeof on);
         }},
        {"interfaces", [](long) { return request_of(new_socket(), SIOCGIFCONF); }},
        {"owner_of_new", [](long) { return request_of(new_socket(), FIOSETOWN); }},
        {"send_on_new",
         [](long) {
             msghdr header{};
             return ::syscall(SYS_sendmsg, new_socket(), &header, MSG_NOSIGNAL);
         },
         EPIPE},
        {"receive_descriptors_on_new",
         [](long) {
             msghdr header{};
             return ::syscall(SYS_recvmsg, new_socket(AF_UNIX), &header, 0);
         }},
    };
    return all;
}

const std::vector<Attack>& attacks_on_unix_listener() {
    static const std::vector<Attack> all{{"take_unix_listener_down", take_unix_listener_down}};
    return all;
}

const std::vector<Attack>& attacks_on_writing() {
    static const std::vector<Attack> all{
        {"write_data", [](long) { return ::syscall(SYS_pwrite64, data_file(), "x", 1, 0); },
         allowed},
        {"lock_data", [](long) { return lock(data_file()); }, allowed},
        {"sync_data", [](long) { return ::syscall(SYS_fdatasync, data_file()); }, allowed},
        // The kernel appends to a log wherever it is told to write. Source: pwrite(2), BUGS.
        {"write_at_logs_begin", [](long) { return ::syscall(SYS_pwrite64, log_file(), "x", 1, 0); },
         allowed},
        {"seek_log", [](long) { return ::syscall(SYS_lseek, log_file(), 0, SEEK_SET); }, allowed},
        {"truncate_data", [](long) { return ::syscall(SYS_ftruncate, data_file(), 0); }},
        {"truncate_log_file", [](long) { return ::syscall(SYS_ftruncate, log_file(), 0); }},
        {"punch_log_file", [](long) { return ::syscall(SYS_fallocate, log_file(), 3, 0, 4096); }},
        {"log_without_append", [](long) { return ::syscall(SYS_fcntl, log_file(), F_SETFL, 0); }},
        {"write_without_append",
         [](long) {
             const iovec bytes{const_cast<char*>("x"), 1};
             constexpr int no_append = 0x20;  // RWF_NOAPPEND, Linux 6.9
             return ::syscall(SYS_pwritev2, log_file(), &bytes, 1, 0, 0, no_append);
         }},
        {"lease_log", [](long) { return ::syscall(SYS_fcntl, log_file(), F_SETLEASE, F_WRLCK); }},
        {"map_log_file",
         [](long) {
             const long address = ::syscall(SYS_mmap, nullptr, 4096, PROT_READ | PROT_WRITE,
                                            MAP_SHARED, log_file(), 0);
             return address == -1 ? -1L : 0L;
         },
         EACCES},
        {"map_data_as_code",
         [](long) {
             return ::syscall(SYS_mmap, nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE,
                              data_file(), 0);
         }},
        {"truncate_by_name", [](long) { return ::syscall(SYS_truncate, "/tmp", 0); }},
        {"times_by_name",
         [](long) { return ::syscall(SYS_utimensat, AT_FDCWD, "/tmp", nullptr, 0); }},
        {"mode_of_data", [](long) { return ::syscall(SYS_fchmod, data_file(), 0777); }},
        {"attribute_of_data",
         [](long) { return ::syscall(SYS_fsetxattr, data_file(), "user.x", "x", 1, 0); }},
        {"open_beside_data", [](long) { return ::syscall(SYS_openat, AT_FDCWD, ".", O_RDONLY); }},
        {"rename",
         [](long) { return ::syscall(SYS_renameat2, AT_FDCWD, "/tmp/x", AT_FDCWD, "/tmp/y", 0); }},
        {"sync_all", [](long) { return ::syscall(SYS_sync); }},
    };
    return all;
}

const std::vector<Attack>& attacks_on_threads() {
    static const std::vector<Attack> all{
        {"thread", [](long) { return in_thread([] { return 0L; }); }, allowed},
        {"fork_as_thread", [](long) { return clone_with(thread_flags ^ CLONE_THREAD); }},
        {"vfork", [](long) { return clone_with(CLONE_VM | CLONE_VFORK | SIGCHLD); }},
        {"thread_in_namespace", [](long) { return clone_with(thread_flags | CLONE_NEWUSER); }},
        {"thread_untraced", [](long) { return clone_with(thread_flags | CLONE_UNTRACED); }},
        {"thread_with_upper_bits", [](long) { return clone_with(thread_flags | 1UL << 32); }},
        {"socket_in_thread",
         [](long) { return in_thread([] { return make_socket(AF_INET, SOCK_STREAM); }); }},
        {"exec_in_thread",
         [](long) {
             return in_thread([] { return ::syscall(SYS_execve, "/bin/true", nullptr, nullptr); });
         }},
        {"file_in_thread",
         [](long) {
             return in_thread(
                 [] { return ::syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY); });
         },
         EACCES},
        {"affinity", [](long) { return ::syscall(SYS_sched_setaffinity, 0, 0, nullptr); }},
        {"scheduler", [](long) { return ::syscall(SYS_sched_setscheduler, 0, 0, nullptr); }},
    };
    return all;
}

}  // namespace preforkd::testing
