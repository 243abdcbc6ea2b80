#pragma once

#include <sys/types.h>

#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shared/unique_fd.hpp"

// Real processes as a test sees them: their ends by pidfd, everything else from /proc.

namespace preforkd::testing {

/// How a process ended.
struct Exit {
    int status = 0;  ///< meaningful without a signal
    int signal = 0;
    bool operator==(const Exit&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Exit& exit);

[[nodiscard]] inline Exit exited(int status) {
    return {status, 0};
}
[[nodiscard]] inline Exit killed_by(int signal) {
    return {0, signal};
}

/// A process, held by its pidfd, so that a recycled pid can't be taken for it. Each wait fails the
/// test at its deadline.
class Process {
  public:
    Process() = default;
    /// Fails the test when there is no such process.
    explicit Process(pid_t pid);
    /// Nothing when it has ended and been reaped.
    [[nodiscard]] static std::optional<Process> find(pid_t pid);

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] int pidfd() const { return pidfd_.get(); }
    [[nodiscard]] bool is_open() const { return pidfd_.is_open(); }
    /// Neither dead nor a zombie.
    [[nodiscard]] bool is_running() const;
    /// Does nothing to one that has ended.
    void send(int signal) const;
    /// Anybody's child.
    void wait_for_end() const;
    /// Our own child; reaps it.
    Exit reap();
    void kill_and_reap() noexcept;

  private:
    pid_t pid_ = 0;
    UniqueFd pidfd_;
};

/// Every process there is whose parent is `parent`, zombies too, in the order of their pids.
[[nodiscard]] std::vector<pid_t> children_of(pid_t parent);

/// KILLs and reaps every child of ours, and those that they leave to us, until there is none.
void end_all_children() noexcept;

/// The command line as ps(1) shows it.
[[nodiscard]] std::string title_of(pid_t pid);

/// Of `cwd`, `exe`, `fd/0`: what /proc/PID/NAME leads to.
[[nodiscard]] std::string link_of(pid_t pid, const std::string& name);

/// What each open descriptor is: "/dev/null", "socket:[1234]", "anon_inode:[eventpoll]".
[[nodiscard]] std::map<int, std::string> descriptors_of(pid_t pid);

/// The lines of /proc/PID/status: by name, without the colon and what surrounds the value.
[[nodiscard]] std::map<std::string, std::string> status_of(pid_t pid);

/// Source: proc(5), /proc/pid/stat.
struct Stat {
    char state = '?';
    pid_t parent = 0;
    pid_t group = 0;
    pid_t session = 0;
    int terminal = -1;
};
[[nodiscard]] Stat stat_of(pid_t pid);

struct Limit {
    std::string soft, hard;
};
/// By the names of /proc/PID/limits: "Max open files".
[[nodiscard]] std::map<std::string, Limit> limits_of(pid_t pid);

/// As it was at the last exec: NAME=VALUE, sorted.
[[nodiscard]] std::vector<std::string> environment_of(pid_t pid);

/// Numbers of the signals in a set of /proc/PID/status, such as SigIgn.
[[nodiscard]] std::vector<int> signals_in(const std::string& hexadecimal);

/// The child of `parent` whose title holds `text`; fails the test when there is none.
[[nodiscard]] pid_t child_titled(pid_t parent, const std::string& text);

}  // namespace preforkd::testing
