#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>

#include "shared/unique_fd.hpp"

namespace preforkd::testing {

/// A folder of the test's own, removed with all it holds.
class TempFolder {
  public:
    TempFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "preforkd-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        path_ = pattern;
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] std::string operator/(const std::string& name) const {
        return path_ + "/" + name;
    }

  private:
    std::string path_;
};

/// A pipe, both ends close-on-exec.
struct Pipe {
    UniqueFd reading, writing;
    Pipe() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) < 0) std::abort();
        reading.reset(ends[0]);
        writing.reset(ends[1]);
    }
};

/// Everything until the writing end is closed.
inline std::string read_until_closed(const UniqueFd& fd) {
    std::string text;
    char chunk[4096];
    for (;;) {
        const ssize_t got = ::read(fd.get(), chunk, sizeof chunk);
        if (got <= 0) return text;
        text.append(chunk, static_cast<std::size_t>(got));
    }
}

/// Runs `body`, which returns an exit status, in a child process; 99 stands for an exception.
template <class Body>
pid_t start_child(Body&& body) {
    std::fflush(nullptr);  // else the child could print it a second time
    const pid_t pid = ::fork();
    if (pid < 0) std::abort();
    if (pid > 0) return pid;
    int status = 99;
    try {
        status = std::forward<Body>(body)();
    } catch (const std::exception& error) {
        const std::string text = std::string("in the child: ") + error.what() + "\n";
        if (::write(2, text.data(), text.size()) < 0) status = 98;
    }
    ::_exit(status);
}

/// The exit status of a child; 128 + the signal's number when one killed it.
inline int wait_for(pid_t pid) {
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) std::abort();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

template <class Body>
int in_child(Body&& body) {
    return wait_for(start_child(std::forward<Body>(body)));
}

}  // namespace preforkd::testing
