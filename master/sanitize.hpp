#pragma once

#include <string>
#include <vector>

namespace preforkd::master {

/// What sanitize() found, where somebody may still need it.
struct Inheritance {
    /// The whole environment as the caller left it, each "NAME=VALUE": what a new binary is to
    /// start with, less LISTEN_*.
    std::vector<std::string> environment;
    /// Sockets that the service manager opened for us, from descriptor 3 up; 0 when LISTEN_FDS
    /// wasn't meant for this process. Source: sd_listen_fds(3).
    int listen_fds = 0;
    /// What a person should know: one sentence each.
    std::vector<std::string> notices;
};

/// Makes good what a hostile or careless parent left. To be called once, before anything else has
/// opened a descriptor or read the environment. Throws StartupError.
///
/// - Descriptors 0, 1 and 2 exist (/dev/null if they were closed); all others are closed, but those
///   of LISTEN_FDS and those in `kept`, which become close-on-exec.
/// - Every signal has its default action and none is blocked; SIGPIPE and those that mean nothing
/// to
///   the master are ignored. No alarm is running.
/// - The umask is 0022. Address space randomisation is on for what we execute.
/// - The environment holds nothing but TZ, LANG, LANGUAGE, LC_*, HOME, XDG_RUNTIME_DIR,
/// NOTIFY_SOCKET,
///   LISTEN_*, WATCHDOG_*, JOURNAL_STREAM and INVOCATION_ID, as they were, and a PATH of system
///   folders.
/// - Soft limits are raised to the hard ones, but those on core size and stack.
[[nodiscard]] Inheritance sanitize(const std::vector<int>& kept = {});

/// For a program that takes over from the one that did all of this, and was given the caller's
/// environment again.
void sanitize_environment();

/// For the same: dispositions as this version wants them; what is blocked, or waits, stays so, but
/// a SIGCHLD that waits may be lost.
void sanitize_signals() noexcept;

}  // namespace preforkd::master
