#include "worker/system_calls.hpp"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>
#include <stdexcept>

// The allow-list: what a worker's code, Asio, the C library and its allocators call after READY.
// What can harm others who share a descriptor, or gives new powers, is absent or has conditions.
// The calls made for each request have none: the kernel then answers from a bitmap, without
// running the filter. Source: seccomp(2), seccomp_rule_add(3).

namespace preforkd::worker {
namespace {

using Rules = std::vector<CallRule>;

// Clients, the master, the clock; and writing log lines, the C library's last words included.
constexpr int serving[] = {
    SCMP_SYS(accept4),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendfile),
    SCMP_SYS(getsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(fstat),
    // How much the worker has used.
    SCMP_SYS(pread64),
    SCMP_SYS(getrusage),
};

// Memory, in the ways of several allocators, and the end of a process.
constexpr int living[] = {
    SCMP_SYS(brk),    SCMP_SYS(munmap),       SCMP_SYS(mremap),          SCMP_SYS(madvise),
    SCMP_SYS(futex),  SCMP_SYS(getrandom),    SCMP_SYS(sched_yield),     SCMP_SYS(getpid),
    SCMP_SYS(gettid), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn),    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(exit),   SCMP_SYS(exit_group),   SCMP_SYS(restart_syscall), SCMP_SYS(sysinfo),
};

void allow(Rules& rules, int call, std::vector<scmp_arg_cmp> where = {}) {
    // Negative: this kind of machine has no such call, and so nobody makes it.
    if (call >= 0) rules.push_back({call, std::move(where), 0});
}

void refuse(Rules& rules, int call, int error) {
    if (call >= 0) rules.push_back({call, {}, error});
}

/// Of two calls that do the same, the one that this kind of machine has had from the beginning.
void allow_either(Rules& rules, int old_call, int new_call,
                  const std::vector<scmp_arg_cmp>& where = {}) {
    allow(rules, old_call >= 0 ? old_call : new_call, where);
}

scmp_arg_cmp equals(unsigned argument, std::uint64_t value) {
    return {argument, SCMP_CMP_EQ, value, 0};
}

scmp_arg_cmp has_none_of(unsigned argument, std::uint64_t bits) {
    return {argument, SCMP_CMP_MASKED_EQ, bits, 0};
}

void allow_serving(Rules& rules) {
    for (const int call : serving) allow(rules, call);
    allow_either(rules, SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait));
    allow_either(rules, SCMP_SYS(poll), SCMP_SYS(ppoll));
    allow_either(rules, SCMP_SYS(alarm), SCMP_SYS(setitimer));
    // What is shared with others stays as it is: see DescriptorGuard.
    allow(rules, SCMP_SYS(shutdown));
    // For a reset. Nothing that attaches a filter.
    allow(rules, SCMP_SYS(setsockopt), {equals(1, SOL_SOCKET), equals(2, SO_LINGER)});
    // New logs; and a listening socket that is given up, see park(). Never the channel.
    allow_either(rules, SCMP_SYS(dup2), SCMP_SYS(dup3));
    // Not F_SETFL: it would make a listening socket blocking for all, or end a log's O_APPEND.
    allow(rules, SCMP_SYS(fcntl), {equals(1, F_GETFL)});
    allow(rules, SCMP_SYS(prctl), {equals(0, PR_SET_NAME)});
    // fstat(3) of glibc before 2.39. A path can't be told from none here, but only its status can
    // be had so.
    allow(rules, SCMP_SYS(newfstatat), {equals(3, AT_EMPTY_PATH)});
    // getrlimit(3), no setrlimit(3).
    allow(rules, SCMP_SYS(prlimit64), {equals(0, 0), equals(2, 0)});
}

void allow_living(Rules& rules) {
    for (const int call : living) allow(rules, call);
    // No memory is ever executable that was not so at start.
    allow(rules, SCMP_SYS(mmap), {has_none_of(2, PROT_EXEC)});
    allow(rules, SCMP_SYS(mprotect), {has_none_of(2, PROT_EXEC)});
    // Allocators name their memory. The rest of prctl(2) is closed.
    constexpr int name_memory = 0x53564d41;  // PR_SET_VMA, Linux 5.17
    allow(rules, SCMP_SYS(prctl), {equals(0, name_memory)});
    // raise(3) and abort(3).
    allow(rules, SCMP_SYS(tgkill), {equals(0, static_cast<std::uint64_t>(::getpid()))});
}

void allow_reading_folders(Rules& rules) {
    allow(rules, SCMP_SYS(openat2));  // what of it, Landlock decides
    for (const int call : {SCMP_SYS(getdents64), SCMP_SYS(newfstatat)}) allow(rules, call);
    allow(rules, SCMP_SYS(fcntl), {equals(1, F_SETFD), equals(2, FD_CLOEXEC)});  // fdopendir(3)
}

void allow_writing_files(Rules& rules) {
    for (const int call : {SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(lseek),
                           SCMP_SYS(fdatasync), SCMP_SYS(fsync), SCMP_SYS(msync)})
        allow(rules, call);
    allow(rules, SCMP_SYS(utimensat), {equals(1, 0)});  // futimens(3): no path
    for (const int command : {F_SETLK, F_SETLKW, F_GETLK})
        allow(rules, SCMP_SYS(fcntl), {equals(1, static_cast<std::uint64_t>(command))});
}

void allow_connecting(Rules& rules) {
    // Of no other protocol: the kernel would load its module.
    for (const int family : {AF_INET, AF_INET6, AF_UNIX})
        for (const int protocol : {0, static_cast<int>(IPPROTO_TCP)})
            allow(
                rules, SCMP_SYS(socket),
                {equals(0, static_cast<std::uint64_t>(family)),
                 {1, SCMP_CMP_MASKED_EQ, ~std::uint64_t{SOCK_NONBLOCK | SOCK_CLOEXEC}, SOCK_STREAM},
                 equals(2, static_cast<std::uint64_t>(protocol))});
    allow(rules, SCMP_SYS(connect));
    allow(rules, SCMP_SYS(sendmsg));  // Asio, of several buffers. It passes descriptors as well
    for (const int request : {FIONBIO, FIONREAD})
        allow(rules, SCMP_SYS(ioctl), {equals(1, static_cast<std::uint64_t>(request))});
    const std::pair<int, int> options[] = {
        {SOL_SOCKET, SO_KEEPALIVE}, {SOL_SOCKET, SO_RCVBUF},     {SOL_SOCKET, SO_SNDBUF},
        {IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_IPV6, IPV6_V6ONLY}};
    for (const auto& [level, option] : options)
        allow(rules, SCMP_SYS(setsockopt),
              {equals(1, static_cast<std::uint64_t>(level)),
               equals(2, static_cast<std::uint64_t>(option))});
}

void allow_threads(Rules& rules) {
    // What pthread_create(3) asks for, and nothing like a process or a namespace. Of clone3(2) a
    // filter can't see the flags; glibc falls back when it isn't there.
    constexpr std::uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                     CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                                     CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    allow(rules, SCMP_SYS(clone),
          {{0, SCMP_CMP_MASKED_EQ, ~std::uint64_t{CLONE_DETACHED}, thread}});
    refuse(rules, SCMP_SYS(clone3), ENOSYS);
    for (const int call : {SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_getaffinity),
                           SCMP_SYS(clock_nanosleep)})
        allow(rules, call);
    // An allocator that looks at /proc or /sys for the number of processors does without.
    refuse(rules, SCMP_SYS(openat), EACCES);
}

void allow_named(Rules& rules, const std::string& names) {
    std::istringstream words(names);
    for (std::string name; words >> name;) {
        const int call = ::seccomp_syscall_resolve_name(name.c_str());
        if (call == __NR_SCMP_ERROR)
            throw std::invalid_argument("a service declares the need for '" + name +
                                        "', which is no system call");
        allow(rules, call);
    }
}

std::string name_of(int call) {
    char* const name = ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
    std::string text = name == nullptr ? std::to_string(call) : name;
    ::free(name);
    return text;
}

}  // namespace

void AllNeeds::add(const SandboxNeeds& needs) {
    reads_folders |= needs.reads_folders;
    writes_files |= needs.writes_files;
    connects |= needs.connects;
    starts_threads |= needs.starts_threads;
    system_calls += std::string(" ") + needs.system_calls;
}

std::vector<CallRule> call_rules(const AllNeeds& needs) {
    Rules rules;
    allow_serving(rules);
    allow_living(rules);
    if (needs.reads_folders) allow_reading_folders(rules);
    if (needs.writes_files) allow_writing_files(rules);
    if (needs.connects) allow_connecting(rules);
    allow_named(rules, needs.system_calls);  // before those that are refused: the first one counts
    if (needs.starts_threads) allow_threads(rules);
#ifdef PREFORKD_PUBLIC_REACTOR
    allow(rules, SCMP_SYS(ioctl), {equals(1, FIONBIO)});  // as Asio has it for each descriptor
#endif
    return rules;
}

std::vector<std::string> names_of_calls(const std::vector<CallRule>& rules) {
    std::map<std::string, std::string> restricted;
    for (const CallRule& rule : rules) {
        const char* const how = rule.error != 0      ? " (refused)"
                                : rule.where.empty() ? ""
                                                     : " (some)";
        const auto [known, added] = restricted.emplace(name_of(rule.call), how);
        if (!added && rule.where.empty()) known->second = how;
    }
    std::vector<std::string> names;
    for (const auto& [name, how] : restricted) names.push_back(name + how);
    return names;
}

}  // namespace preforkd::worker
