#pragma once

#include <sys/types.h>

#include <string_view>

#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// How the server tells whoever started it what became of the start. In the background that is the
/// launcher, which waits at the other end of a pipe; in the foreground it is standard error.
class StartupPipe {
  public:
    /// Foreground: nobody waits.
    StartupPipe() noexcept = default;
    /// Background: `writing` leads to the launcher.
    explicit StartupPipe(UniqueFd writing) noexcept : writing_(std::move(writing)) {}

    /// Every worker is READY: the launcher exits 0. Nothing in the foreground, or after a verdict.
    void succeed() noexcept;

    /// The launcher prints `text`, the whole message, and exits with `exit_code`; in the foreground
    /// `text` goes to standard error. Nothing after a verdict. Range: exit_code in [1, 255].
    void fail(int exit_code, std::string_view text) noexcept;

  private:
    UniqueFd writing_;
    bool said_ = false;
};

/// What the process in the background is made of.
struct Background {
    int output = -1;  ///< becomes descriptor 1
    int error = -1;   ///< becomes descriptor 2
    mode_t umask = 0;
};

/// Goes to the background and returns there: own session and process group, no controlling terminal
/// nor a way to get one, folder "/", descriptor 0 is /dev/null. The process that called stays
/// behind as the launcher: it closes everything, waits for the verdict and exits with it, never
/// returning from here. If the server dies without a word it says how; SIGINT, SIGTERM, SIGHUP and
/// SIGQUIT stop the start before they end it.
///
/// `program` begins the launcher's own messages. Throws StartupError before the first fork only.
[[nodiscard]] StartupPipe daemonize(std::string_view program, const Background& background);

}  // namespace preforkd::master
