#include "attacks.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <sstream>

#include "shared/channel.hpp"

// Every call is made by its number: the C library would check arguments, or take another way.

namespace preforkd::testing {

int listening_socket() {
    for (int descriptor = 4; descriptor < 64; ++descriptor) {
        int listens = 0;
        socklen_t size = sizeof listens;
        if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens)
            return descriptor;
    }
    return -1;
}

int client_socket() {
    for (int descriptor = 63; descriptor > channel_fd; --descriptor) {
        sockaddr_storage peer;
        socklen_t size = sizeof peer;
        if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0)
            return descriptor;
    }
    return -1;
}

long pass_over(int socket, int descriptor) {
    Message message;  // none that a master knows: it would only be closed with the channel
    iovec bytes{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr header{};
    header.msg_iov = &bytes;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
    return ::syscall(SYS_sendmsg, socket, &header, MSG_NOSIGNAL);
}

namespace {

// Asio's public interface makes each descriptor non-blocking by ioctl(2), whose argument lies in
// memory, where no filter can see it.
#ifdef PREFORKD_PUBLIC_REACTOR
constexpr int allowed_to_public_reactor = allowed;
#else
constexpr int allowed_to_public_reactor = 0;
#endif

long set_option(long descriptor, int level, int option) {
    const linger now{1, 0};
    return ::syscall(SYS_setsockopt, descriptor, level, option, &now, sizeof now);
}

long attach_filter(long) {
    sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
    const sock_fprog program{1, &drop_all};
    return ::syscall(SYS_setsockopt, listening_socket(), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                     sizeof program);
}

long connect_nowhere(long descriptor) {
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    return ::syscall(SYS_connect, descriptor, &nobody, sizeof nobody);
}

long fast_open(long) {
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    return ::syscall(SYS_sendto, listening_socket(), "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &nobody,
                     sizeof nobody);
}

/// Whoever closes the last descriptor of this connection waits for ten minutes, for its client
/// doesn't read: that was to be the master. Source: socket(7), SO_LINGER.
long pass_lingering_socket(long) {
    const int client = client_socket();
    const linger ten_minutes{1, 600};
    if (::setsockopt(client, SOL_SOCKET, SO_LINGER, &ten_minutes, sizeof ten_minutes) < 0)
        return -1;
    const std::vector<char> bytes(64 * 1024);
    while (::send(client, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) continue;
    if (pass_over(channel_fd, client) < 0) return -1;
    return ::close(client);
}

long set_all_capabilities(long) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct all[2];
    std::memset(all, 0xff, sizeof all);
    return ::syscall(SYS_capset, &header, all);
}

long map(long protection, int flags, int descriptor) {
    const long address = ::syscall(SYS_mmap, nullptr, 4096, protection, flags, descriptor, 0);
    return address == -1 ? -1 : 0;
}

/// A folder that the master has opened for the service.
int own_folder() {
    for (int descriptor = 4; descriptor < 64; ++descriptor) {
        struct stat status {};
        if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) return descriptor;
    }
    return -1;
}

long open_beneath(int folder, const char* path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags;
    how.mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? 0600 : 0;
    return ::syscall(SYS_openat2, folder, path, &how, sizeof how);
}

#ifdef __x86_64__
constexpr long x32_bit = 0x40000000;

long call_as_32_bit(long) {
    long returned = 20;  // getpid(2) there
    asm volatile("int $0x80" : "+a"(returned) : : "memory");
    return returned;
}
#endif

const char* const nothing[] = {nullptr};

}  // namespace

const std::vector<Attack>& attacks() {
    static const std::vector<Attack> all{
        // Privileges.
        {"setuid", [](long) { return ::syscall(SYS_setuid, 0); }},
        {"setgid", [](long) { return ::syscall(SYS_setgid, 0); }},
        {"setresuid", [](long) { return ::syscall(SYS_setresuid, 0, 0, 0); }},
        {"setgroups", [](long) { return ::syscall(SYS_setgroups, 0, nullptr); }},
        {"capset", set_all_capabilities},
        {"prctl_dumpable", [](long) { return ::syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); }},
        {"prctl_death_signal", [](long) { return ::syscall(SYS_prctl, PR_SET_PDEATHSIG, 0); }},
        {"prctl_ambient",
         [](long) {
             return ::syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0);
         }},
        {"setrlimit",
         [](long) {
             const rlimit all_of_it{RLIM_INFINITY, RLIM_INFINITY};
             return ::syscall(SYS_prlimit64, 0, RLIMIT_CORE, &all_of_it, nullptr);
         }},
        {"limits_of_master",
         [](long victim) {
             rlimit limit{};
             return ::syscall(SYS_prlimit64, victim, RLIMIT_CORE, nullptr, &limit);
         }},
        {"setpriority", [](long) { return ::syscall(SYS_setpriority, PRIO_PROCESS, 0, -20); }},
        {"personality", [](long) { return ::syscall(SYS_personality, READ_IMPLIES_EXEC); }},
        // Other processes.
        {"execve", [](long) { return ::syscall(SYS_execve, "/bin/true", nothing, nothing); }},
        {"execveat",
         [](long) { return ::syscall(SYS_execveat, AT_FDCWD, "/bin/true", nothing, nothing, 0); }},
        {"fork", [](long) { return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
        {"clone_namespace",
         [](long) { return ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }},
        {"clone3", [](long) { return ::syscall(SYS_clone3, nullptr, 0); }},
        {"ptrace_master",
         [](long victim) { return ::syscall(SYS_ptrace, PTRACE_SEIZE, victim, 0, 0); }},
        {"read_memory_of_master",
         [](long victim) {
             return ::syscall(SYS_process_vm_readv, victim, nullptr, 0, nullptr, 0, 0);
         }},
        {"kill_master", [](long victim) { return ::syscall(SYS_kill, victim, SIGTERM); }},
        {"tgkill_master",
         [](long victim) { return ::syscall(SYS_tgkill, victim, victim, SIGTERM); }},
        {"tkill_master", [](long victim) { return ::syscall(SYS_tkill, victim, SIGTERM); }},
        {"kill_everybody", [](long) { return ::syscall(SYS_kill, -1, SIGKILL); }},
        {"queue_signal",
         [](long victim) {
             siginfo_t info{};
             info.si_code = SI_QUEUE;
             return ::syscall(SYS_rt_sigqueueinfo, victim, SIGTERM, &info);
         }},
        {"pidfd_open", [](long victim) { return ::syscall(SYS_pidfd_open, victim, 0); }},
        {"pidfd_getfd", [](long) { return ::syscall(SYS_pidfd_getfd, 0, 0, 0); }},
        // Files.
        {"open_passwd",
         [](long) { return ::syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY); }},
        {"openat2_passwd", [](long) { return open_beneath(AT_FDCWD, "/etc/passwd", O_RDONLY); }},
        {"create_in_tmp",
         [](long) { return ::syscall(SYS_openat, AT_FDCWD, "/tmp/x", O_CREAT | O_RDWR, 0600); }},
        {"unlink", [](long) { return ::syscall(SYS_unlinkat, AT_FDCWD, "/tmp/x", 0); }},
        {"chmod", [](long) { return ::syscall(SYS_fchmodat, AT_FDCWD, "/tmp", 0777); }},
        {"mount", [](long) { return ::syscall(SYS_mount, "/", "/mnt", "", 0, nullptr); }},
        {"chroot", [](long) { return ::syscall(SYS_chroot, "/"); }},
        // Sockets.
        {"socket", [](long) { return ::syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }},
        {"socket_unix", [](long) { return ::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }},
        {"socket_netlink", [](long) { return ::syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0); }},
        {"socketpair",
         [](long) {
             int ends[2];
             return ::syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, ends);
         }},
        {"bind",
         [](long) {
             sockaddr_in anywhere{};
             anywhere.sin_family = AF_INET;
             return ::syscall(SYS_bind, listening_socket(), &anywhere, sizeof anywhere);
         }},
        {"listen", [](long) { return ::syscall(SYS_listen, listening_socket(), 0); }},
        {"connect_listener", [](long) { return connect_nowhere(listening_socket()); }},
        {"shutdown_reading",
         [](long) { return ::syscall(SYS_shutdown, listening_socket(), SHUT_RD); }},
        {"shutdown_both",
         [](long) { return ::syscall(SYS_shutdown, listening_socket(), SHUT_RDWR); }},
        {"attach_filter", attach_filter},
        {"linger_on_listener",
         [](long) { return set_option(listening_socket(), SOL_SOCKET, SO_LINGER); }},
        {"linger_on_listener_upper_bits",
         [](long) { return set_option(listening_socket() | 1L << 32, SOL_SOCKET, SO_LINGER); }},
        {"copy_listener", [](long) { return ::syscall(SYS_dup2, listening_socket(), 200); }},
        {"copy_listener_by_fcntl",
         [](long) { return ::syscall(SYS_fcntl, listening_socket(), F_DUPFD, 200); }},
        {"dup_listener", [](long) { return ::syscall(SYS_dup, listening_socket()); }},
        {"other_option", [](long) { return set_option(0, SOL_SOCKET, SO_RCVBUF); }},
        {"blocking_listener",
         [](long) { return ::syscall(SYS_fcntl, listening_socket(), F_SETFL, 0); }},
        {"blocking_listener_by_ioctl",
         [](long) {
             int off = 0;
             return ::syscall(SYS_ioctl, listening_socket(), FIONBIO, &off);
         },
         allowed_to_public_reactor},
        {"signals_of_listener",
         [](long victim) { return ::syscall(SYS_fcntl, listening_socket(), F_SETOWN, victim); }},
        {"fast_open_on_listener", fast_open, EOPNOTSUPP},
        {"half_close_listener",
         [](long) { return ::syscall(SYS_shutdown, listening_socket(), SHUT_WR); }},
        {"receive_descriptors",
         [](long) {
             msghdr header{};
             return ::syscall(SYS_recvmsg, listening_socket(), &header, 0);
         }},
        {"close_channel", [](long) { return ::syscall(SYS_close, channel_fd); }},
        {"replace_channel", [](long) { return ::syscall(SYS_dup2, client_socket(), channel_fd); }},
        {"replace_channel_by_dup3",
         [](long) { return ::syscall(SYS_dup3, client_socket(), channel_fd, 0); }},
        {"replace_channel_upper_bits",
         [](long) { return ::syscall(SYS_dup2, client_socket(), channel_fd | 1L << 32); }},
        {"pass_lingering_socket", pass_lingering_socket},
        {"pass_descriptor_to_log_reader",
         [](long) { return pass_over(STDERR_FILENO, client_socket()); }},
        {"pass_descriptor_upper_bits",
         [](long) {
             msghdr header{};
             return ::syscall(SYS_sendmsg, channel_fd | 1L << 32, &header, 0);
         }},
        // Logs.
        {"read_log",
         [](long) {
             char byte = 0;
             return ::syscall(SYS_read, STDERR_FILENO, &byte, 1);
         },
         EBADF},
        {"read_output",
         [](long) {
             char byte = 0;
             return ::syscall(SYS_read, STDOUT_FILENO, &byte, 1);
         },
         EBADF},
        {"half_close_log", [](long) { return ::syscall(SYS_shutdown, STDERR_FILENO, SHUT_WR); }},
        {"truncate_log", [](long) { return ::syscall(SYS_ftruncate, STDERR_FILENO, 0); }},
        {"punch_log", [](long) { return ::syscall(SYS_fallocate, STDERR_FILENO, 3, 0, 4096); }},
        {"overwrite_log", [](long) { return ::syscall(SYS_fcntl, STDERR_FILENO, F_SETFL, 0); }},
        {"lock_log", [](long) { return ::syscall(SYS_flock, STDERR_FILENO, 2); }},
        {"map_log", [](long) { return map(PROT_READ | PROT_WRITE, MAP_SHARED, STDERR_FILENO); },
         EACCES},
        // The kernel's larger doors.
        {"io_uring", [](long) { return ::syscall(SYS_io_uring_setup, 8, nullptr); }},
        {"memfd_create", [](long) { return ::syscall(SYS_memfd_create, "x", 0); }},
        {"userfaultfd", [](long) { return ::syscall(SYS_userfaultfd, 0); }},
        {"bpf", [](long) { return ::syscall(SYS_bpf, 0, nullptr, 0); }},
        {"perf_event_open",
         [](long) { return ::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0); }},
        {"keyctl", [](long) { return ::syscall(SYS_keyctl, 0, 0); }},
        {"unshare", [](long) { return ::syscall(SYS_unshare, CLONE_NEWUSER); }},
        {"setns", [](long) { return ::syscall(SYS_setns, 0, 0); }},
        {"seccomp", [](long) { return ::syscall(SYS_seccomp, 0, 0, nullptr); }},
        {"landlock", [](long) { return ::syscall(SYS_landlock_restrict_self, 0, 0); }},
        // Code.
        {"map_code",
         [](long) { return map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1); }},
        {"make_code",
         [](long) {
             alignas(4096) static char page[4096];
             return ::syscall(SYS_mprotect, page, sizeof page, PROT_READ | PROT_WRITE | PROT_EXEC);
         }},
        {"pkey_mprotect",
         [](long) { return ::syscall(SYS_pkey_mprotect, nullptr, 0, PROT_EXEC, -1); }},
#ifdef __x86_64__
        {"call_as_32_bit", call_as_32_bit},
        {"call_as_x32", [](long) { return ::syscall(x32_bit + SYS_getpid); }},
#endif
        {"no_such_call", [](long) { return ::syscall(1000000); }},
    };
    return all;
}

const std::vector<Attack>& attacks_on_files() {
    static const std::vector<Attack> all{
        {"file_passwd", [](long) { return open_beneath(AT_FDCWD, "/etc/passwd", O_RDONLY); },
         EACCES},
        {"file_root", [](long) { return open_beneath(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY); },
         EACCES},
        {"file_memory", [](long) { return open_beneath(AT_FDCWD, "/proc/self/mem", O_RDWR); },
         EACCES},
        {"file_log",
         [](long) { return open_beneath(AT_FDCWD, "/proc/self/fd/2", O_WRONLY | O_TRUNC); },
         EACCES},
        {"file_environment_of_master",
         [](long victim) {
             const std::string path = "/proc/" + std::to_string(victim) + "/environ";
             return open_beneath(AT_FDCWD, path.c_str(), O_RDONLY);
         },
         EACCES},
        {"file_in_tmp", [](long) { return open_beneath(AT_FDCWD, "/tmp/x", O_CREAT | O_RDWR); },
         EACCES},
        {"file_unnamed", [](long) { return open_beneath(AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR); },
         EACCES},
        // In its own folder.
        {"own_read", [](long) { return open_beneath(own_folder(), "hello.txt", O_RDONLY); },
         allowed},
        {"own_write", [](long) { return open_beneath(own_folder(), "hello.txt", O_WRONLY); },
         EACCES},
        {"own_append",
         [](long) { return open_beneath(own_folder(), "hello.txt", O_WRONLY | O_APPEND); }, EACCES},
        {"own_truncate",
         [](long) { return open_beneath(own_folder(), "hello.txt", O_RDONLY | O_TRUNC); }, EACCES},
        {"own_create", [](long) { return open_beneath(own_folder(), "new", O_CREAT | O_RDONLY); },
         EACCES},
        {"own_unnamed", [](long) { return open_beneath(own_folder(), ".", O_TMPFILE | O_RDWR); },
         EACCES},
        {"own_parent", [](long) { return open_beneath(own_folder(), "..", O_RDONLY); }, EACCES},
        {"own_rename",
         [](long) {
             return ::syscall(SYS_renameat2, own_folder(), "hello.txt", own_folder(), "new", 0);
         }},
        {"own_unlink", [](long) { return ::syscall(SYS_unlinkat, own_folder(), "hello.txt", 0); }},
        {"own_link",
         [](long) {
             return ::syscall(SYS_linkat, own_folder(), "hello.txt", own_folder(), "new", 0);
         }},
        {"own_symlink",
         [](long) { return ::syscall(SYS_symlinkat, "/etc/passwd", own_folder(), "new"); }},
        {"own_folder", [](long) { return ::syscall(SYS_mkdirat, own_folder(), "new", 0755); }},
        {"own_fifo",
         [](long) { return ::syscall(SYS_mknodat, own_folder(), "new", S_IFIFO | 0600, 0); }},
        {"own_mode",
         [](long) { return ::syscall(SYS_fchmodat, own_folder(), "hello.txt", 04777); }},
        {"own_mode_of_folder", [](long) { return ::syscall(SYS_fchmod, own_folder(), 0777); }},
        {"own_owner",
         [](long) { return ::syscall(SYS_fchownat, own_folder(), "hello.txt", 0, 0, 0); }},
        {"own_times",
         [](long) { return ::syscall(SYS_utimensat, own_folder(), "hello.txt", nullptr, 0); }},
        {"own_attribute",
         [](long) { return ::syscall(SYS_fsetxattr, own_folder(), "user.x", "x", 1, 0); }},
        {"own_chdir", [](long) { return ::syscall(SYS_fchdir, own_folder()); }},
    };
    return all;
}

std::string run_attack(const std::string& order) {
    std::istringstream words(order);
    std::string name;
    long victim = 0;
    words >> name >> victim;
    for (const auto* list :
         {&attacks(), &attacks_on_files(), &attacks_on_connecting(), &attacks_on_unix_listener(),
          &attacks_on_writing(), &attacks_on_threads()})
        for (const Attack& attack : *list)
            if (attack.name == name)
                return attack.attempt(victim) < 0 ? ::strerrorname_np(errno) : "done";
    return "unknown";
}

std::string try_to_open(const std::string& path) {
    return open_beneath(AT_FDCWD, path.c_str(), O_RDONLY) < 0 ? ::strerrorname_np(errno) : "done";
}

namespace {

void send_bytes(const void* bytes, std::size_t size) {
    (void)::send(channel_fd, bytes, size, MSG_NOSIGNAL);
}

Message message_of(std::uint32_t kind) {
    Message message;
    message.kind = static_cast<MessageKind>(kind);
    return message;
}

void send_message_of(std::uint32_t kind) {
    const Message message = message_of(kind);
    send_bytes(&message, sizeof message);
}

void send_unended_text() {
    Message message = message_of(static_cast<std::uint32_t>(MessageKind::failed));
    message.text.fill('x');
    send_bytes(&message, sizeof message);
}

/// As many as the master takes until it has had enough.
void flood(MessageKind kind) {
    const Message message = message_of(static_cast<std::uint32_t>(kind));
    while (::send(channel_fd, &message, sizeof message, MSG_NOSIGNAL) > 0 || errno == EAGAIN)
        continue;
}

const std::map<std::string, void (*)()>& abuses() {
    static const std::map<std::string, void (*)()> all{
        {"nothing", [] { send_bytes("", 0); }},
        {"short", [] { send_bytes("?", 1); }},
        {"one_byte_less",
         [] {
             const Message message = message_of(static_cast<std::uint32_t>(MessageKind::ready));
             send_bytes(&message, sizeof message - 1);
         }},
        {"huge",
         [] {
             const std::vector<char> bytes(64 * 1024, 'h');
             send_bytes(bytes.data(), bytes.size());
         }},
        {"kind_0", [] { send_message_of(0); }},
        {"unknown_kind", [] { send_message_of(0xffffffff); }},
        {"masters_kind", [] { send_message_of(static_cast<std::uint32_t>(MessageKind::drain)); }},
        {"unended_text", send_unended_text},
        {"stopped_nowhere",
         [] {
             Message message = message_of(static_cast<std::uint32_t>(MessageKind::stopped));
             message.section = ~0u;
             send_bytes(&message, sizeof message);
         }},
        {"ready_again", [] { send_message_of(static_cast<std::uint32_t>(MessageKind::ready)); }},
        {"failed_late", [] { send_message_of(static_cast<std::uint32_t>(MessageKind::failed)); }},
        {"flood_of_ready", [] { flood(MessageKind::ready); }},
        {"flood_of_full", [] { flood(MessageKind::full); }},
        {"flood_of_failed", [] { flood(MessageKind::failed); }},
        {"flood_of_nonsense", [] { flood(MessageKind{}); }},
    };
    return all;
}

}  // namespace

const std::vector<std::string>& channel_abuses() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        for (const auto& [name, send] : abuses()) all.push_back(name);
        return all;
    }();
    return names;
}

void abuse_channel(const std::string& name) {
    abuses().at(name)();
}

}  // namespace preforkd::testing
