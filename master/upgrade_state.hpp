#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "master/archive.hpp"
#include "master/deployment.hpp"
#include "master/start_record.hpp"
#include "master/supervisor.hpp"
#include "master/worker_table.hpp"

namespace preforkd::master {

/// To be raised when a program can't go on with what an older one wrote, or the other way round:
/// when a field gets another meaning, or when masters and workers no longer understand each other's
/// messages (shared/channel.hpp). A field more or less needs nothing.
inline constexpr std::uint32_t upgrade_state_version = 1;

/// All that the next program needs to go on as this master. What each part means is its owner's
/// business; here are plain values, and numbers of descriptors that stay open over the exec.
struct UpgradeState {
    std::string version;  ///< of the program that wrote this
    Pid master;
    StartRecord start;
    Descriptor callers_stderr;
    std::string lock_path;  ///< empty: no lock
    Descriptor lock;
    Descriptor notifier;
    std::optional<std::chrono::microseconds> watchdog;
    std::vector<std::string> pools;  ///< their names, by number
    Supervisor::Snapshot supervisor;
    SavedDeployment deployment;  ///< the one in service
    std::vector<SavedWorker> workers;
    SavedScoreboard scoreboard;
    TimePoint started_at;
    std::string verdict;  ///< the last one

    /// Of all that it names, each once.
    [[nodiscard]] std::vector<int> descriptors() const;
};

/// As it goes through a memfd: marked, versioned and with a checksum.
[[nodiscard]] std::string encode(const UpgradeState& state);

/// The state that `bytes` hold. Throws BadArchive: they are cut short or changed, of a version that
/// this program doesn't know, or parts of them don't fit together.
[[nodiscard]] UpgradeState decode(std::string_view bytes);

}  // namespace preforkd::master
