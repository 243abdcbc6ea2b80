#include "master/sanitize.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

constexpr int first_passed_fd = 3;  // SD_LISTEN_FDS_START
constexpr rlim_t few_files = 1024;
constexpr const char* system_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Names, or beginnings of names where they end in `_`.
constexpr std::array<std::string_view, 15> kept_variables {
    "TZ", "LANG", "LANGUAGE", "LC_", "HOME", "XDG_RUNTIME_DIR", "LISTEN_", "WATCHDOG_",
        "JOURNAL_STREAM", "INVOCATION_ID", "NOTIFY_SOCKET",
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
#endif
};

/// What the master acts on, what ends a program that has gone wrong, and what can't be ignored.
/// SIGCHLD ignored would reap children behind our back.
constexpr std::array meaningful_signals{
    SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD, SIGCONT,
    SIGSEGV, SIGBUS, SIGILL,  SIGFPE, SIGABRT, SIGTRAP, SIGSYS,  SIGXCPU, SIGKILL, SIGSTOP};

/// These neither end nor stop a start; they wait until the event loop takes them.
constexpr std::array orders{SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU};

/// Soft limits that only a careless parent lowers. Not RLIMIT_CORE, which is its owner's choice,
/// nor RLIMIT_STACK: an unlimited stack makes the kernel lay out memory predictably.
constexpr std::array raised_limits{RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_AS,      RLIMIT_DATA,
                                   RLIMIT_NPROC,  RLIMIT_CPU,   RLIMIT_MEMLOCK, RLIMIT_RSS};

bool is_open(int fd) noexcept {
    return ::fcntl(fd, F_GETFD) >= 0;
}

void open_missing_standard_descriptors() {
    for (int fd = 0; fd <= 2; ++fd) {
        if (is_open(fd)) continue;
        // The lowest free number is this one: those below it are open by now.
        if (::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
            throw StartupError(exit_failure,
                               fmt::format("descriptor {} is closed and /dev/null can't take its "
                                           "place: {}",
                                           fd, last_error().message()));
    }
}

void close_all_but(std::vector<int> kept) {
    std::sort(kept.begin(), kept.end());
    unsigned next = 3;
    for (const int fd : kept) {
        const auto number = static_cast<unsigned>(fd);
        if (fd < 3 || number < next) continue;
        if (number > next) (void)::close_range(next, number - 1, 0);
        (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
        next = number + 1;
    }
    (void)::close_range(next, ~0u, 0);
}

std::optional<int> number_in(const char* variable) {
    const char* const text = std::getenv(variable);
    if (text == nullptr) return std::nullopt;
    const std::string_view digits(text);
    int number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return number;
}

/// How many descriptors from 3 up were passed to us, and not to a parent of ours.
int count_passed_sockets() {
    if (number_in("LISTEN_PID") != ::getpid()) return 0;
    const int announced = number_in("LISTEN_FDS").value_or(0);
    int passed = 0;
    while (passed < announced && is_open(first_passed_fd + passed)) ++passed;
    return passed;
}

void reset_dispositions() noexcept {
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
        const bool has_meaning = std::find(meaningful_signals.begin(), meaningful_signals.end(),
                                           signal) != meaningful_signals.end();
        set_disposition(signal, has_meaning ? SIG_DFL : SIG_IGN);  // KILL and STOP refuse
    }
}

void reset_signals() noexcept {
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int signal : orders) sigaddset(&blocked, signal);
    ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
    reset_dispositions();
    // Timers outlive an exec. Source: execve(2).
    const itimerval off{};
    for (const auto timer : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF})
        ::setitimer(timer, &off, nullptr);
}

bool is_kept(std::string_view name) {
    return std::any_of(kept_variables.begin(), kept_variables.end(), [&](std::string_view kept) {
        if (kept.empty()) return false;
        return kept.ends_with('_') ? name.starts_with(kept) : name == kept;
    });
}

std::vector<std::string> replace_environment() {
    std::vector<std::string> before;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable)
        before.emplace_back(*variable);
    ::clearenv();
    ::setenv("PATH", system_path, 1);
    for (const std::string& variable : before) {
        const std::size_t equals = variable.find('=');
        if (equals == std::string::npos || equals == 0) continue;
        const std::string name = variable.substr(0, equals);
        // The first of two counts, as getenv(3) has it.
        if (is_kept(name)) ::setenv(name.c_str(), variable.c_str() + equals + 1, 0);
    }
    std::erase_if(before, [](const std::string& one) { return one.starts_with("LISTEN_"); });
    return before;
}

void raise_limits(std::vector<std::string>& notices) {
    for (const auto resource : raised_limits) {
        rlimit limit{};
        if (::getrlimit(resource, &limit) < 0) continue;
        if (resource == RLIMIT_NOFILE && limit.rlim_max < few_files)
            notices.push_back(
                fmt::format("the hard limit on open files is only {}; raise it "
                            "(ulimit -Hn, LimitNOFILE=) to serve more clients",
                            limit.rlim_max));
        if (resource == RLIMIT_FSIZE && limit.rlim_max != RLIM_INFINITY)
            notices.push_back(
                fmt::format("the hard limit on file size is {} bytes; a log that "
                            "reaches it loses lines (ulimit -Hf, LimitFSIZE=)",
                            limit.rlim_max));
        if (resource == RLIMIT_CPU && limit.rlim_max != RLIM_INFINITY)
            notices.push_back(
                fmt::format("the hard limit on processor time is {} s; the kernel "
                            "kills what reaches it (ulimit -Ht, LimitCPU=)",
                            limit.rlim_max));
        limit.rlim_cur = limit.rlim_max;
        (void)::setrlimit(resource, &limit);
    }
}

/// `setarch -R` and a legacy layout are handed down to what we execute: the workers.
void restore_randomisation() noexcept {
    const int now = ::personality(0xffffffff);
    const int predictable =
        ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT | READ_IMPLIES_EXEC | MMAP_PAGE_ZERO;
    if (now != -1 && (now & predictable) != 0)
        (void)::personality(static_cast<unsigned long>(now & ~predictable));
}

}  // namespace

Inheritance sanitize(const std::vector<int>& kept) {
    Inheritance found;
    // First of all: a descriptor opened before this could become 0, 1 or 2.
    open_missing_standard_descriptors();
    found.listen_fds = count_passed_sockets();
    std::vector<int> all_kept = kept;
    for (int number = 0; number < found.listen_fds; ++number)
        all_kept.push_back(first_passed_fd + number);
    close_all_but(std::move(all_kept));
    reset_signals();
    ::umask(0022);
    found.environment = replace_environment();
    raise_limits(found.notices);
    restore_randomisation();
    return found;
}

void sanitize_environment() {
    (void)replace_environment();
}

// Setting SIGCHLD to its default throws away one that waits. Source: sigaction(2), POSIX.
void sanitize_signals() noexcept {
    reset_dispositions();
}

}  // namespace preforkd::master
