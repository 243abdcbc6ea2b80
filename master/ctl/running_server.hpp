#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "shared/result.hpp"
#include "shared/scoreboard_reader.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::ctl {

/// There is no server to speak of, or it can't be reached. `status_code` is what `status` ends
/// with: 1 dead and its lock file left, 3 stopped, 4 unknown. Source: LSB, init script actions.
class NoServer : public StartupError {
  public:
    NoServer(int exit_code, int status_code, std::string message)
        : StartupError(exit_code, std::move(message)), status_code_(status_code) {}
    [[nodiscard]] int status_code() const noexcept { return status_code_; }

  private:
    int status_code_;
};

/// Where the lock file is if nothing else is said: as the server's own default.
[[nodiscard]] std::filesystem::path default_lock_file();

/// A server as it is seen from outside: by its lock, its scoreboard and its process.
class RunningServer {
  public:
    /// Finds the one that holds the lock. Throws NoServer.
    [[nodiscard]] static RunningServer find(const std::filesystem::path& lock_file);

    [[nodiscard]] Pid pid() const noexcept { return pid_; }

    /// Looks for its scoreboard anew. Throws NoServer.
    void open();

    /// What it has counted up to now. Throws NoServer when it has ended or can't be read.
    [[nodiscard]] Snapshot read();

    /// The same, and nothing when there is no telling at this moment, as while it becomes another
    /// program; looks for the scoreboard anew each time.
    [[nodiscard]] std::optional<Snapshot> read_anew();

    /// Throws NoServer when it has ended or is somebody else's.
    void send(int signal) const;

    /// Waits for its end, at most `limit`; none: for ever. True once it has ended.
    [[nodiscard]] bool wait_for_end(std::optional<milliseconds> limit) const;

  private:
    RunningServer(Pid pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
    [[nodiscard]] Result<ScoreboardReader> open_scoreboard() const;
    void add_what_proc_knows(Snapshot& snapshot) const;

    Pid pid_;
    UniqueFd pidfd_;
    std::optional<ScoreboardReader> reader_;
};

}  // namespace preforkd::ctl
