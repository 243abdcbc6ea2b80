#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>

#include "shared/log.hpp"
#include "shared/unique_fd.hpp"
#include "worker/services/board_report.hpp"
#include "worker/services/board_store.hpp"

// What the board's tests share: a folder that goes away, processes of their own, a little storage.

namespace board_test {

using namespace preforkd;
using namespace preforkd::worker::board;

/// A folder of this test alone; in memory where that can be had, for the tests sync thousands of
/// times and what the disk does then is the kernel's business.
class Folder {
  public:
    Folder() {
        const bool has_memory = ::access("/dev/shm", W_OK | X_OK) == 0;
        const auto parent = has_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
        std::string pattern = (parent / "board-XXXXXX").string();
        BOOST_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    [[nodiscard]] std::string operator/(const char* name) const { return path_ / name; }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

/// A forked process; killed and reaped at the latest when the object ends.
class Child {
  public:
    explicit Child(const std::function<int()>& body) {
        pid_ = ::fork();
        BOOST_REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            int code = 99;
            try {
                code = body();
            } catch (const std::exception& error) {
                dprintf(2, "child: %s\n", error.what());
            }
            ::_exit(code);
        }
    }
    ~Child() {
        if (pid_ > 0) kill();
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }

    /// The wait status, as of waitpid(2).
    int wait() {
        int status = 0;
        BOOST_REQUIRE(::waitpid(pid_, &status, 0) == pid_);
        pid_ = -1;
        return status;
    }
    int exit_code() {
        const int status = wait();
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }
    void kill() {
        ::kill(pid_, SIGKILL);
        wait();
    }

  private:
    pid_t pid_ = -1;
};

struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;

    Pipe() {
        int ends[2];
        BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        read_end.reset(ends[0]);
        write_end.reset(ends[1]);
    }
};

inline StoreOptions new_board() {
    StoreOptions options;
    options.create = true;
    return options;
}

/// Into `logger`, which outlives it.
inline Report report_to(const Logger& logger) {
    return [&logger](LogLevel level, const std::string& text) { logger.log(level, text); };
}

/// Commits one message and returns its number; none when anything failed.
inline std::optional<std::uint64_t> post(Store& store, const std::string& text) {
    auto transaction = Transaction::begin(store);
    if (!transaction) return std::nullopt;
    const auto number = transaction->append(text);
    if (!number || transaction->commit()) return std::nullopt;
    return *number;
}

/// The message, or "(what is wrong)".
inline std::string read(Store& store, std::uint64_t number) {
    Reader reader(store);
    const auto snapshot = reader.snapshot();
    if (!snapshot) return "(" + snapshot.error().message() + ")";
    const auto text = snapshot->read(number);
    return text ? std::string(*text) : "(" + text.error().message() + ")";
}

inline std::uint64_t count(Store& store) {
    Reader reader(store);
    const auto snapshot = reader.snapshot();
    BOOST_REQUIRE(snapshot);
    return snapshot->end();
}

/// What the attempt to open it says; empty: it opened.
inline std::string refusal(const std::string& path, const StoreOptions& options = {}) {
    try {
        Store store(path, options);
        return {};
    } catch (const StartupError& error) {
        return error.what();
    }
}

inline std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The bytes of a board's file without the room behind its last page.
inline std::string pages_of(const std::string& path) {
    const auto bytes = contents(path);
    return bytes.substr(0, (bytes.find_last_not_of('\0') / 4096 + 1) * 4096);
}

inline void overwrite(const std::string& path, const std::string& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << bytes;
}

}  // namespace board_test
