#include "master/image_proof.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "master/worker_table.hpp"
#include "shared/exit_code.hpp"
#include "shared/log.hpp"
#include "shared/result.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

/// What the child needs; prepared before the fork, for after it only system calls are safe.
struct ProofSetup {
    int image = -1;
    std::array<int, 5> descriptors{};  ///< become 0 to 4
    char* const* argv = nullptr;
    char* const* environment = nullptr;
    pid_t master = 0;
};

constexpr int out_of_the_way = 16;  // above everything that is to be placed

/// Says why not, to whoever reads what the program would have printed.
[[noreturn]] void give_up(int printed, const char* step) noexcept {
    const char* const description = ::strerrordesc_np(errno);
    for (const char* text : {step, ": ", description != nullptr ? description : "unknown error"})
        if (::write(printed, text, std::strlen(text)) < 0) break;
    ::_exit(exit_failure);
}

[[noreturn]] void become(const ProofSetup& setup) noexcept {
    // Dies with the master, whatever it is doing. No credentials change, so this stays.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != setup.master) ::_exit(exit_failure);
    std::array<int, 5> moved{};
    for (std::size_t i = 0; i < moved.size(); ++i)
        moved[i] = ::fcntl(setup.descriptors[i], F_DUPFD_CLOEXEC, out_of_the_way);
    const int image = ::fcntl(setup.image, F_DUPFD_CLOEXEC, out_of_the_way);
    for (std::size_t i = 0; i < moved.size(); ++i)
        if (image < 0 || moved[i] < 0 || ::dup2(moved[i], static_cast<int>(i)) < 0)
            give_up(setup.descriptors[2], "dup2");
    for (int signal = 1; signal <= SIGRTMAX; ++signal) (void)::signal(signal, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (close_on_exec_from(proof_answer_fd + 1)) give_up(2, "close_range");
    ::syscall(SYS_execveat, image, "", setup.argv, setup.environment, AT_EMPTY_PATH);
    give_up(2, "execveat");
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

[[noreturn]] void refuse(const char* step) {
    throw StartupError(exit_failure,
                       fmt::format("can't try it: {}: {}", step, last_error().message()));
}

UniqueFd open_pipe(UniqueFd& writing) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) refuse("pipe");
    writing.reset(ends[1]);
    UniqueFd reading(ends[0]);
    if (::fcntl(reading.get(), F_SETFL, O_NONBLOCK) < 0) refuse("fcntl");
    return reading;
}

/// All that is there, without waiting; a pipe holds no more than 64 KiB.
std::string drain(const UniqueFd& pipe) {
    std::string text;
    char chunk[4096];
    for (ssize_t got = 0; (got = ::read(pipe.get(), chunk, sizeof chunk)) > 0;)
        text.append(chunk, static_cast<std::size_t>(got));
    return text;
}

}  // namespace

ImageProof::ImageProof(const UniqueFd& image, const UniqueFd& state, const std::string& program,
                       const std::vector<std::string>& environment) {
    UniqueFd answering, printing;
    answer_ = open_pipe(answering);
    printed_ = open_pipe(printing);
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null.is_open()) refuse("open /dev/null");
    std::vector<std::string> arguments{program + ": upgrade check", std::string(prove_argument)};
    std::vector<std::string> variables = environment;
    const std::vector<char*> argv = pointers_to(arguments);
    const std::vector<char*> envp = pointers_to(variables);
    const ProofSetup setup{
        image.get(),
        {null.get(), printing.get(), printing.get(), state.get(), answering.get()},
        argv.data(),
        envp.data(),
        ::getpid()};
    // A signal that comes between fork and exec would run, in the child, as if it were meant for
    // it.
    sigset_t all, before;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    pid_.value = ::fork();
    if (pid_.value == 0) become(setup);
    const int error = errno;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    errno = error;
    if (pid_.value < 0) refuse("fork");
    auto pidfd = open_pidfd(pid_);
    if (!pidfd) {  // out of descriptors
        ::kill(pid_.value, SIGKILL);
        ::waitpid(pid_.value, nullptr, 0);
        errno = pidfd.error().value();
        refuse("pidfd_open");
    }
    pidfd_ = std::move(*pidfd);
}

ImageProof::~ImageProof() {
    if (!ended_ && pidfd_.is_open()) (void)send_signal(pidfd_, SIGKILL);
}

std::optional<ProofAnswer> ImageProof::finish() {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) < 0 ||
        info.si_pid == 0)
        return std::nullopt;
    ended_ = true;
    const std::string said = drain(answer_);
    if (!said.empty()) return decode_answer(said);
    const ExitedProcess exited{Pid{info.si_pid}, info.si_code, info.si_status};
    std::string why = fmt::format("it ended without an answer: {}", describe(exited));
    if (const std::string printed = drain(printed_); !printed.empty())
        why += fmt::format("; it printed: '{}'", escape_for_log(printed, 500));
    return ProofAnswer{false, std::move(why)};
}

}  // namespace preforkd::master
