#include "master/daemonize.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

// What goes through the pipe, in this order: the server's pid as it lies in memory, then `ready`,
// or `failed`, one byte of exit code and a text to the end.
constexpr char ready = 'R';
constexpr char failed = 'F';
constexpr std::size_t verdict_at = sizeof(pid_t);

constexpr std::array interruptions{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

sigset_t set_of_interruptions() noexcept {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : interruptions) sigaddset(&set, signal);
    return set;
}

void print(std::string_view text) noexcept {
    (void)write_all(STDERR_FILENO, text);
    if (!text.ends_with('\n')) (void)write_all(STDERR_FILENO, "\n");
}

std::string describe_signal(int signal) {
    const char* const description = ::sigdescr_np(signal);  // none for real-time signals
    return fmt::format("{} ({})", signal, description != nullptr ? description : "unnamed");
}

/// The process that the caller waits for.
class Launcher {
  public:
    Launcher(std::string_view program, UniqueFd pipe, UniqueFd signals, Pid first_child) noexcept
        : program_(program),
          pipe_(std::move(pipe)),
          signals_(std::move(signals)),
          first_child_(first_child) {}

    [[noreturn]] void run() {
        // What the server holds must be free as soon as the server is gone: lock, listeners, logs.
        close_everything_else();
        while (!ended_ && !is_ready()) wait_for_more();
        if (interrupted_by_ != 0) die_of(interrupted_by_);
        // It leaves at once, and by then the server is our child.
        (void)::waitpid(first_child_.value, nullptr, 0);
        if (is_ready()) ::_exit(exit_ok);
        ::_exit(has_failure() ? pass_on_failure() : explain_silence());
    }

  private:
    void close_everything_else() noexcept {
        const int pipe = ::fcntl(pipe_.get(), F_DUPFD_CLOEXEC, 64);
        const int signals = ::fcntl(signals_.get(), F_DUPFD_CLOEXEC, 64);
        if (pipe < 0 || signals < 0 || ::dup2(pipe, 3) < 0 || ::dup2(signals, 4) < 0) return;
        (void)pipe_.release();
        (void)signals_.release();
        pipe_.reset(3);
        signals_.reset(4);
        (void)::close_range(5, ~0u, 0);
    }

    [[nodiscard]] bool is_ready() const noexcept {
        return heard_.size() > verdict_at && heard_[verdict_at] == ready;
    }
    [[nodiscard]] bool has_failure() const noexcept {
        return heard_.size() > verdict_at + 1 && heard_[verdict_at] == failed;
    }

    [[nodiscard]] bool knows_server() const noexcept { return heard_.size() >= verdict_at; }

    [[nodiscard]] pid_t server() const noexcept {
        pid_t pid = 0;
        std::memcpy(&pid, heard_.data(), sizeof pid);
        return pid;
    }

    void wait_for_more() {
        // An interruption waits until we know whom to pass it on to; poll skips a descriptor of -1.
        const int signals = knows_server() ? signals_.get() : -1;
        std::array<pollfd, 2> waited{{{pipe_.get(), POLLIN, 0}, {signals, POLLIN, 0}}};
        if (::poll(waited.data(), waited.size(), -1) < 0) return;
        if (waited[1].revents != 0) pass_on_interruption();
        if (waited[0].revents == 0) return;
        char chunk[4096];
        const ssize_t got = ::read(pipe_.get(), chunk, sizeof chunk);
        if (got > 0) heard_.append(chunk, static_cast<std::size_t>(got));
        ended_ = got == 0 || (got < 0 && errno != EINTR);
    }

    /// The first one lets the server stop in order, the second one ends it. The server is our child
    /// and not reaped, so its pid can't be anybody else's.
    void pass_on_interruption() noexcept {
        signalfd_siginfo received{};
        if (::read(signals_.get(), &received, sizeof received) != sizeof received) return;
        const bool is_first = interrupted_by_ == 0;
        interrupted_by_ = static_cast<int>(received.ssi_signo);
        // Not HUP or QUIT as they are: HUP would be a reload.
        ::kill(server(), is_first ? SIGINT : SIGKILL);
    }

    /// As the default action would have ended us, so that the caller's shell knows.
    [[noreturn]] void die_of(int signal) noexcept {
        print(fmt::format("{}: start interrupted", program_));
        (void)::signal(signal, SIG_DFL);
        ::raise(signal);
        const sigset_t all = set_of_interruptions();
        ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
        ::_exit(128 + signal);
    }

    [[nodiscard]] int pass_on_failure() const noexcept {
        // It still has workers to end and the lock to give up: whoever sees us exit may start anew.
        (void)::waitpid(server(), nullptr, 0);
        print(std::string_view(heard_).substr(verdict_at + 2));
        return static_cast<unsigned char>(heard_[verdict_at + 1]);
    }

    [[nodiscard]] int explain_silence() {
        int status = 0;
        std::string how = "in a way that can't be found out";
        if (knows_server() && ::waitpid(server(), &status, 0) > 0) {
            if (WIFSIGNALED(status))
                how = fmt::format("of signal {}", describe_signal(WTERMSIG(status)));
            else
                how = fmt::format("with exit status {}", WEXITSTATUS(status));
        }
        print(fmt::format("{}: the server died during start-up, {}; the error log may say why",
                          program_, how));
        return exit_failure;
    }

    std::string_view program_;
    UniqueFd pipe_, signals_;
    Pid first_child_;
    std::string heard_;
    bool ended_ = false;
    int interrupted_by_ = 0;
};

void tell_pid(int pipe) noexcept {
    const pid_t pid = ::getpid();
    char bytes[sizeof pid];
    std::memcpy(bytes, &pid, sizeof pid);
    (void)write_all(pipe, {bytes, sizeof bytes});
}

/// A verdict that says which call failed, and the end of this process.
[[noreturn]] void give_up(StartupPipe& pipe, std::string_view program, const char* step) {
    pipe.fail(exit_failure, fmt::format("{}: can't go to the background: {}: {}", program, step,
                                        with_limit_advice(last_error())));
    ::_exit(exit_failure);
}

void arrange(StartupPipe& pipe, std::string_view program, const Background& background) {
    if (::setpgid(0, 0) < 0) give_up(pipe, program, "setpgid");
    if (::chdir("/") < 0) give_up(pipe, program, "chdir");
    ::umask(background.umask);
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null.is_open()) give_up(pipe, program, "open /dev/null");
    if (::dup2(null.get(), STDIN_FILENO) < 0 || ::dup2(background.output, STDOUT_FILENO) < 0 ||
        ::dup2(background.error, STDERR_FILENO) < 0)
        give_up(pipe, program, "dup2");
}

/// In the first child: a session of its own, then a child that leads none and so can never get a
/// controlling terminal. Returns in that child. Source: setsid(2); tty_ioctl(4), TIOCSCTTY.
void leave_session(int pipe_fd, StartupPipe& pipe, std::string_view program) {
    const bool leads_session = ::setsid() >= 0;
    const pid_t second = leads_session ? ::fork() : -1;
    if (second > 0) ::_exit(exit_ok);
    const int error = errno;
    tell_pid(pipe_fd);
    errno = error;
    if (second < 0) give_up(pipe, program, leads_session ? "fork" : "setsid");
}

}  // namespace

void StartupPipe::succeed() noexcept {
    if (std::exchange(said_, true)) return;
    if (writing_.is_open()) (void)write_all(writing_.get(), {&ready, 1});
    writing_.reset();
}

void StartupPipe::fail(int exit_code, std::string_view text) noexcept {
    if (std::exchange(said_, true)) return;
    if (!writing_.is_open()) return print(text);
    const char head[] = {failed, static_cast<char>(exit_code)};
    (void)write_all(writing_.get(), {head, sizeof head});
    (void)write_all(writing_.get(), text);
    writing_.reset();
}

StartupPipe daemonize(std::string_view program, const Background& background) {
    const auto require = [](bool done, const char* step) {
        if (!done)
            throw StartupError(exit_failure, fmt::format("can't go to the background: {}: {}", step,
                                                         with_limit_advice(last_error())));
    };
    int ends[2];
    require(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
    UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    const sigset_t blocked = set_of_interruptions();
    UniqueFd signals(::signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK));
    require(signals.is_open(), "signalfd");
    // The server becomes the launcher's child when the process between them leaves; so the launcher
    // can tell how it died.
    require(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "prctl(PR_SET_CHILD_SUBREAPER)");
    std::fflush(nullptr);
    sigset_t before;
    ::sigprocmask(SIG_BLOCK, &blocked, &before);
    const pid_t child = ::fork();
    if (child < 0) ::sigprocmask(SIG_SETMASK, &before, nullptr);
    require(child >= 0, "fork");
    if (child > 0) {
        writing.reset();
        Launcher(program, std::move(reading), std::move(signals), Pid{child}).run();
    }
    reading.reset();
    signals.reset();
    const int pipe_fd = writing.get();
    StartupPipe pipe(std::move(writing));
    leave_session(pipe_fd, pipe, program);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    arrange(pipe, program, background);
    return pipe;
}

}  // namespace preforkd::master
