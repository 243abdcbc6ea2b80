#include "worker/sandbox.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "shared/unique_fd.hpp"
#include "worker/landlock.hpp"
#include "worker/seccomp.hpp"

namespace preforkd::worker {
namespace {

/// How many threads there are; 1 when /proc can't tell. Source: proc(5), /proc/self/task.
unsigned count_threads() {
    struct CloseFolder {
        void operator()(DIR* folder) const noexcept { ::closedir(folder); }
    };
    const std::unique_ptr<DIR, CloseFolder> tasks(::opendir("/proc/self/task"));
    unsigned count = 0;
    while (const dirent* const entry = tasks ? ::readdir(tasks.get()) : nullptr)
        if (entry->d_name[0] != '.') ++count;
    return count == 0 ? 1 : count;
}

/// A number that is free would be taken by a connection, which then couldn't be reset.
void fill_gaps(int last_shared) noexcept {
    for (int descriptor = 0; descriptor <= last_shared; ++descriptor)
        if (::fcntl(descriptor, F_GETFD) < 0) ::dup2(STDIN_FILENO, descriptor);
}

bool has_datagram_socket(int last_shared) noexcept {
    for (int descriptor = 0; descriptor <= last_shared; ++descriptor) {
        int type = 0;
        socklen_t size = sizeof type;
        if (::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM)
            return true;
    }
    return false;
}

// The C library chooses one by ioctl(2), when something is first printed.
void give_stdout_a_buffer() noexcept {
    static char buffer[4096];
    (void)std::setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
}

// A sanitizer that has found something reads files to explain it.
std::vector<int> readable_folders(const Sandbox& sandbox, const UniqueFd& everything) {
    std::vector<int> folders;
    if (sandbox.needs.reads_folders) folders = sandbox.folders;
    if (everything.is_open()) folders.push_back(everything.get());
    return folders;
}

/// The master has found that the kernel can do it.
[[noreturn]] void refuse(const std::string& why, const std::string& calls) {
    throw std::runtime_error("sandbox: " + why + "; if a filter of system calls forbids " + calls +
                             " to this server, allow it there");
}

}  // namespace

void confine(const Sandbox& sandbox) {
    // Landlock binds only the thread that asks for it, and what that one starts.
    if (!is_sanitizer_build() && count_threads() > 1)
        throw std::runtime_error(
            "sandbox: a service has started a thread in start(), which would escape; start it in "
            "confined()");
    ::tzset();  // reads /etc/localtime, once
    give_stdout_a_buffer();
    fill_gaps(sandbox.last_shared);
    const UniqueFd everything(is_sanitizer_build() ? ::open("/", O_PATH | O_CLOEXEC) : -1);
    LandlockRules rules;
    rules.readable_folders = readable_folders(sandbox, everything);
    rules.connects = sandbox.needs.connects;
    if (const error_code error = restrict_by_landlock(rules, sandbox.kernel.landlock))
        refuse("Landlock: " + error.message(), "landlock_*");
    try {
        if (sandbox.kernel.seccomp)
            confine_system_calls(call_rules(sandbox.needs),
                                 {sandbox.last_shared, has_datagram_socket(sandbox.last_shared)});
    } catch (const std::system_error& error) {
        refuse(error.what(), "seccomp");
    }
}

}  // namespace preforkd::worker
