#pragma once

#include <optional>
#include <string>

#include "shared/result.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// The one copy of the program that may run with a given lock file. The lock is flock(2)'s, so the
/// kernel frees it whatever way we end: a stale file never hinders, a live one always does, and
/// the pid written in it is for people and tools alone.
class LockFile {
  public:
    /// Takes the lock at the absolute `path` without waiting and writes our pid into it; makes the
    /// folder if it is absent. Of any number of simultaneous calls exactly one succeeds.
    /// Throws StartupError: somebody holds it (with the holder's pid), the file is a symlink, a
    /// hard link, no regular file, someone else's or writable by others, or its folder is unsafe.
    [[nodiscard]] static LockFile acquire(std::string path);

    /// Goes on with a lock that the program we replaced by execve(2) held as `fd`.
    /// Throws StartupError when `fd` is no lock of ours, and then leaves it open.
    [[nodiscard]] static LockFile adopt(std::string path, int fd);

    LockFile(LockFile&& other) noexcept = default;
    LockFile& operator=(LockFile&& other) noexcept;
    ~LockFile() { release(); }

    /// Makes the calling process the owner: writes its pid, and from now on this process alone
    /// removes the file. To be called after each fork that hands the lock on.
    error_code write_pid() noexcept;

    /// Gives the lock up. The owner first removes the file, while it still holds the lock and if
    /// the path still leads to it; any other process only closes its copy.
    void release() noexcept;

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] const UniqueFd& fd() const noexcept { return fd_; }

  private:
    LockFile(std::string path, UniqueFd fd) noexcept : path_(std::move(path)), fd_(std::move(fd)) {}

    std::string path_;
    UniqueFd fd_;
    Pid owner_;
};

/// The pid written in the first line of an open lock file; none when there is no such line.
[[nodiscard]] std::optional<Pid> read_pid(const UniqueFd& lock) noexcept;

/// The process that holds the lock on the file open as `lock`: one whose /proc/PID/fdinfo says so,
/// else the one that the file names, if it lives. None when that can't be seen from here.
[[nodiscard]] std::optional<Pid> find_lock_holder(const UniqueFd& lock);

}  // namespace preforkd::master
