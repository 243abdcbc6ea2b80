#include "master/exec_in_place.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "master/take_over_call.hpp"
#include "shared/exit_code.hpp"

namespace preforkd::master {
namespace {

constexpr unsigned patience = 10;  // seconds

constexpr std::array faults{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

/// All of them, whatever happens; the last error.
error_code set_close_on_exec(const std::vector<int>& descriptors, bool closed) noexcept {
    error_code error;
    for (const int descriptor : descriptors)
        if (::fcntl(descriptor, F_SETFD, closed ? FD_CLOEXEC : 0) < 0) error = last_error();
    return error;
}

/// All that the way back needs, ready for a signal handler: no memory is asked for there.
struct Ready {
    int image = -1;
    std::vector<int> kept;
    std::vector<std::string> arguments, environment;
    std::vector<char*> argv, envp;
    std::array<char, 512> why{};
};
Ready* ready = nullptr;  // one process, one way back

/// Only system calls. Returns only if the exec fails.
void take_way_back() noexcept {
    ::alarm(0);  // it would outlive the exec
    (void)set_close_on_exec(ready->kept, false);
    ::syscall(SYS_execveat, ready->image, "", ready->argv.data(), ready->envp.data(),
              AT_EMPTY_PATH);
}

void say_why(const char* why, int number) noexcept {
    auto* end = ready->why.begin();
    while (*why != '\0' && end < ready->why.end() - 4) *end++ = *why++;
    if (number >= 10) *end++ = static_cast<char>('0' + number / 10);
    if (number > 0) *end++ = static_cast<char>('0' + number % 10);
    *end = '\0';
}

/// The signal is blocked only while its handler runs, and a mask survives the exec.
void unblock(int signal) noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void on_fault(int signal) noexcept {
    say_why("it crashed while taking over: signal ", signal);
    (void)::signal(signal, SIG_DFL);
    unblock(signal);
    take_way_back();
    ::raise(signal);
}

/// Others may send it, too: only the kernel's own counts. Source: sigaction(2), si_code.
void on_alarm(int signal, siginfo_t* info, void*) noexcept {
    if (info->si_code <= 0) return;
    say_why("it did not take over in 10 seconds", 0);
    unblock(signal);
    take_way_back();
    ::_exit(exit_failure);
}

}  // namespace

error_code execute_in_place(const UniqueFd& image, const Succession& succession) {
    std::vector<std::string> arguments{succession.title, std::string(take_over_argument),
                                       std::to_string(succession.state),
                                       std::to_string(succession.image_before)};
    std::vector<std::string> variables = succession.environment;
    const std::vector<char*> argv = pointers_to(arguments);
    const std::vector<char*> environment = pointers_to(variables);
    std::vector<int> kept = succession.kept;
    kept.insert(kept.end(), {succession.state, succession.image_before});
    error_code error = set_close_on_exec(kept, false);
    if (!error) {
        ::syscall(SYS_execveat, image.get(), "", argv.data(), environment.data(), AT_EMPTY_PATH);
        error = last_error();
    }
    (void)set_close_on_exec(kept, true);
    return error;
}

WayBack::WayBack(std::string title, int state, int image_before) {
    ready = new Ready;  // outlives everything: a handler may need it at any time
    ready->image = image_before;
    ready->kept = {state, image_before};
    ready->arguments = {std::move(title), std::string(take_over_argument), std::to_string(state),
                        std::to_string(image_before)};
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable)
        ready->environment.emplace_back(*variable);
    ready->argv = pointers_to(ready->arguments);
    ready->argv.insert(ready->argv.end() - 1, ready->why.data());
    ready->envp = pointers_to(ready->environment);
    for (const int fault : faults) (void)::signal(fault, on_fault);
    struct sigaction at_alarm {};
    at_alarm.sa_sigaction = on_alarm;
    at_alarm.sa_flags = SA_SIGINFO | SA_RESTART;
    (void)::sigaction(SIGALRM, &at_alarm, nullptr);
    unblock(SIGALRM);
    ::alarm(patience);
}

void WayBack::keep(std::vector<int> descriptors) {
    // Room first: a handler may come between the two.
    descriptors.insert(descriptors.end(), ready->kept.begin(), ready->kept.end());
    ready->kept.swap(descriptors);
}

void WayBack::go(const std::string& why) noexcept {
    say_why(why.c_str(), 0);
    take_way_back();
    const std::string text = fmt::format("{}: can't take over: {}; and can't go back: {}\n",
                                         ready->argv.front(), why, last_error().message());
    if (::write(STDERR_FILENO, text.data(), text.size()) < 0) ::_exit(exit_failure);
    ::_exit(exit_failure);
}

void WayBack::close() noexcept {
    ::alarm(0);
    (void)::signal(SIGALRM, SIG_IGN);
    for (const int fault : faults) (void)::signal(fault, SIG_DFL);
}

}  // namespace preforkd::master
