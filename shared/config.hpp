#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/address.hpp"
#include "shared/key.hpp"
#include "shared/log_level.hpp"
#include "shared/service_spec.hpp"

// The configuration as plain values. What each key means, its default and its range stand in
// config_schema.cpp; how text becomes these values, in config_load.hpp.

namespace preforkd {

/// Where log lines go.
struct LogTarget {
    enum class Kind {
        automatic,       ///< see error_log_of() and output_log_of()
        file,            ///< `path`, absolute
        standard_error,  ///< descriptor 2 as the caller left it
        syslog,
        off,
    };
    Kind kind = Kind::automatic;
    std::filesystem::path path{};

    bool operator==(const LogTarget&) const = default;
};

enum class LogFormat { combined, json };

/// Who accepts from a TCP listener's sockets.
enum class AcceptMode {
    slots,   ///< each worker from one of its own, among which the master steers clients
    shared,  ///< all from one
};

/// Whether the server goes to the background.
enum class DaemonMode { automatic, yes, no };

/// How much of the system a worker can reach once it serves.
enum class SandboxMode {
    strict,  ///< what its services declare, and no more
    off,     ///< what its user may
};

/// Where things were said; not a part of what was said, so all are equal.
struct Origins {
    std::map<std::string, Origin, std::less<>> of_key;  ///< of its first value
    std::vector<Origin> of_address;                     ///< in the order of the addresses

    /// Nowhere (a default) for an unknown key.
    [[nodiscard]] Origin of(std::string_view key) const;
    friend bool operator==(const Origins&, const Origins&) { return true; }
};

/// A [listen.NAME] section.
struct ListenSection {
    std::string name;
    std::vector<Address> addresses;
    std::string service;
    std::optional<unsigned> workers;  ///< a pool of its own; 0: one per core
    unsigned backlog = 0;
    std::vector<Setting> settings;  ///< every key of the service, in its order
    Origins origins;

    bool operator==(const ListenSection&) const = default;

    /// The setting of that key, or nullptr: the service has no such key.
    [[nodiscard]] const Setting* find(std::string_view key) const;
};

/// Everything that the master and its workers were told.
struct Config {
    std::string program;                ///< the name it was started by: preforkd, bbserve
    std::filesystem::path source_file;  ///< absolute; empty: SERVICE ADDRESS on the command line

    UserName user;                    ///< empty: decide at start
    GroupName group;                  ///< empty: the user's
    unsigned workers = 0;             ///< of the shared pool; 0: one per core
    std::filesystem::path lock_file;  ///< empty: none is taken
    std::filesystem::path runtime_dir;
    FileMode umask;
    DaemonMode daemon = DaemonMode::automatic;
    LogTarget error_log;
    LogTarget output_log;
    LogTarget access_log;
    LogFormat log_format = LogFormat::combined;
    LogLevel log_level = LogLevel::info;
    AcceptMode accept = AcceptMode::slots;
    SandboxMode sandbox = SandboxMode::strict;
    std::chrono::milliseconds drain_timeout{};
    std::chrono::milliseconds shutdown_delay{};
    std::chrono::milliseconds keepalive_grace{};
    std::chrono::milliseconds ready_timeout{};
    std::chrono::milliseconds hang_timeout{};
    unsigned max_requests = 0;                 ///< of one worker; 0: no limit
    std::chrono::milliseconds max_lifetime{};  ///< the same
    ByteCount max_rss{};                       ///< the same
    std::vector<ListenSection> listeners;
    Origins origins;

    bool operator==(const Config&) const = default;

    /// Started without a file: `preforkd SERVICE ADDRESS`, which takes no lock and stays in the
    /// foreground, or `bbserve -f FILE`.
    [[nodiscard]] bool standalone() const { return source_file.empty(); }
    [[nodiscard]] const ListenSection* find_listener(std::string_view name) const;
};

/// "2 listeners, 3 addresses".
[[nodiscard]] std::string summary(const Config& config);

/// Where the error log goes once `automatic` is decided: standard error in the foreground, else
/// /var/log/PROGRAM/error.log for root and RUNTIME_DIR/error.log for others.
[[nodiscard]] LogTarget error_log_of(const Config& config, bool foreground, uid_t effective_uid);

/// The same for what services print on descriptor 1, which goes by itself where errors go. Syslog
/// can't be a descriptor: then it is off.
[[nodiscard]] LogTarget output_log_of(const Config& config, bool foreground, uid_t effective_uid);

/// One thing wrong with what we were told.
struct Fault {
    Origin origin;        ///< empty: the command line as a whole
    std::string section;  ///< "listen.web"; empty: none
    std::string what;     ///< with its key: "workers: '0' is out of range; expected 1 to 1024"
    std::string hint;     ///< what to do, on a line of its own; may be empty
};
using Faults = std::vector<Fault>;

/// "FILE:LINE: SECTION: WHAT", and the hint indented on a second line.
[[nodiscard]] std::string to_string(const Fault& fault);

/// Each fault on a line of its own, or two.
[[nodiscard]] std::string to_string(const Faults& faults);

}  // namespace preforkd
