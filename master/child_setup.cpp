#include "master/child_setup.hpp"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "shared/channel.hpp"
#include "shared/exit_code.hpp"
#include "shared/syscalls.hpp"

// Only system calls here, and nothing that allocates: see ChildSetup.

namespace preforkd::master {
namespace {

// Above everything that is to be placed at 0-3, so that no copy overwrites another.
constexpr int out_of_the_way = 16;

/// Appends `text` behind the `used` bytes of the message's, as far as it fits; how many there are
/// now.
std::size_t append(Message& message, std::size_t used, const char* text) noexcept {
    while (*text != '\0' && used + 1 < message.text.size()) message.text[used++] = *text++;
    return used;
}

/// Says which step failed on the channel, which is still `setup.descriptors[3]` or fd 3.
[[noreturn]] void give_up(int channel, const char* step) noexcept {
    // Not strerror(3): it may allocate and translate.
    const char* const description = ::strerrordesc_np(errno);
    Message message;
    message.kind = MessageKind::failed;
    std::size_t used = append(message, 0, step);
    used = append(message, used, ": ");
    append(message, used, description != nullptr ? description : "unknown error");
    const UniqueFd end_of_channel(channel);
    (void)send_message(end_of_channel, message);
    ::_exit(exit_failure);
}

/// 0-3 become the descriptors wanted. Each is moved out of the way first, for one may lie where
/// another belongs. The image's new number comes back.
int place_descriptors(const ChildSetup& setup) noexcept {
    std::array<int, 4> moved{};
    for (std::size_t i = 0; i < moved.size(); ++i) {
        moved[i] = ::fcntl(setup.descriptors[i], F_DUPFD_CLOEXEC, out_of_the_way);
        if (moved[i] < 0) give_up(setup.descriptors[3], "fcntl(F_DUPFD_CLOEXEC)");
    }
    const int image = ::fcntl(setup.image, F_DUPFD_CLOEXEC, out_of_the_way);
    if (image < 0) give_up(setup.descriptors[3], "fcntl(F_DUPFD_CLOEXEC)");
    for (std::size_t i = 0; i < moved.size(); ++i)
        if (::dup2(moved[i], static_cast<int>(i)) < 0) give_up(moved[3], "dup2");
    return image;
}

/// What a terminal or a stray kill sends must not end a worker: only the master, TERM and what a
/// fault in its own code raises do. SIG_IGN outlives the exec; TERM stays blocked until the worker
/// takes it. Source: signal(7), execve(2).
void reset_signals() noexcept {
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
        const bool means_a_fault = signal == SIGABRT || signal == SIGSEGV || signal == SIGBUS ||
                                   signal == SIGILL || signal == SIGFPE || signal == SIGTRAP ||
                                   signal == SIGSYS || signal == SIGXCPU;
        const bool is_default =
            means_a_fault || signal == SIGTERM || signal == SIGCHLD || signal == SIGCONT;
        set_disposition(signal, is_default ? SIG_DFL : SIG_IGN);  // KILL and STOP refuse
    }
    sigset_t only_term;
    sigemptyset(&only_term);
    sigaddset(&only_term, SIGTERM);
    ::sigprocmask(SIG_SETMASK, &only_term, nullptr);
}

/// Without CAP_SETPCAP it stays as it is; the master has said so at start.
void drop_bounding_set() noexcept {
    for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
        if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno == EPERM) return;
}

// Raw calls: glibc's wrappers signal every thread, and there is one. The group goes first, for
// without the user's privilege it could no longer change.
void change_ids(const Credentials& credentials) noexcept {
    if (::syscall(SYS_setgroups, credentials.groups.size(), credentials.groups.data()) < 0)
        give_up(channel_fd, "setgroups");
    if (::syscall(SYS_setresgid, credentials.group, credentials.group, credentials.group) < 0)
        give_up(channel_fd, "setresgid");
    if (::syscall(SYS_setresuid, credentials.user, credentials.user, credentials.user) < 0)
        give_up(channel_fd, "setresuid");
}

void empty_capabilities(cap_t no_capabilities) noexcept {
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        give_up(channel_fd, "prctl(PR_CAP_AMBIENT)");
    if (::cap_set_proc(no_capabilities) < 0) give_up(channel_fd, "cap_set_proc");
}

/// After the ids: changing them clears it. It survives this exec, for the image has no
/// capabilities and no set-id bits. Source: prctl(2), PR_SET_PDEATHSIG.
void die_with(pid_t master) noexcept {
    if (::prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) give_up(channel_fd, "prctl(PR_SET_PDEATHSIG)");
    if (::getppid() != master) ::_exit(exit_failure);  // it died before this could tell us
}

void limit_resources() noexcept {
    const rlimit no_core{0, 0};
    if (::setrlimit(RLIMIT_CORE, &no_core) < 0) give_up(channel_fd, "setrlimit(RLIMIT_CORE)");
}

/// The master's own lies lower. A kernel that refuses has refused it to the master too.
void reset_oom_score(const char* score) noexcept {
    if (*score == '\0') return;
    const UniqueFd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (file.is_open()) (void)!::write(file.get(), score, std::strlen(score));
}

}  // namespace

void become_worker(const ChildSetup& setup) noexcept {
    const int image = place_descriptors(setup);
    reset_signals();
    limit_resources();
    reset_oom_score(setup.oom_score);
    if (::chdir("/") < 0) give_up(channel_fd, "chdir");
    drop_bounding_set();
    if (setup.credentials != nullptr) change_ids(*setup.credentials);
    empty_capabilities(setup.no_capabilities);
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        give_up(channel_fd, "prctl(PR_SET_NO_NEW_PRIVS)");
    die_with(setup.master);
    // Marking, not closing: the image's own descriptor must last until the exec.
    if (close_on_exec_from(channel_fd + 1)) give_up(channel_fd, "close_range");
    ::syscall(SYS_execveat, image, "", setup.argv, setup.environment, AT_EMPTY_PATH);
    give_up(channel_fd, "execveat");
}

}  // namespace preforkd::master
