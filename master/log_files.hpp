#pragma once

#include <unistd.h>

#include <string>

#include "master/descriptor.hpp"
#include "shared/config.hpp"
#include "shared/log.hpp"
#include "shared/result.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// The logs, open. Only the master ever opens them; workers are handed the descriptors.
struct LogFiles {
    UniqueFd error;
    LogStyle error_style = LogStyle::plain;
    UniqueFd output;
    UniqueFd access;  ///< empty: off
};

/// Logs as the next program takes them over.
struct SavedLogs {
    Descriptor error;
    LogStyle error_style = LogStyle::plain;
    Descriptor output;
    Descriptor access;
};

[[nodiscard]] SavedLogs save(const LogFiles& logs);
[[nodiscard]] LogFiles restore(const SavedLogs& saved);

/// Where the system's log listens. Source: syslog(3).
inline constexpr const char* syslog_socket = "/dev/log";

/// What decides where logs go besides the configuration.
struct LogSurroundings {
    bool foreground = true;                   ///< decides what `auto` means
    int standard_error = STDERR_FILENO;       ///< the caller's, wherever it has been moved
    std::string syslog_path = syslog_socket;  ///< another one in tests
};

/// Opens the logs of `config`. Throws StartupError.
///
/// A file is appended to and made 0640 if it is absent. Where others may write to its folder it is
/// refused when it is a link, has several names or belongs to someone else, for then they choose
/// what is written to. A FIFO without a reader is refused rather than waited for.
[[nodiscard]] LogFiles open_logs(const Config& config, const LogSurroundings& surroundings);

/// A system log that was started anew has a new socket: connects to that the one that we have, and
/// with it all who share it, such as workers, which may not connect. Source: connect(2).
error_code reconnect(const LogFiles& logs, const LogSurroundings& surroundings);

}  // namespace preforkd::master
