#pragma once

#include <array>
#include <string>
#include <vector>

#include "shared/result.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// What the next program gets from this one besides the process itself.
struct Succession {
    std::string title;                     ///< its argv[0]
    std::vector<std::string> environment;  ///< NAME=VALUE
    std::vector<int> kept;                 ///< descriptors that stay open
    int state = -1;
    int image_before = -1;  ///< this program, to come back to
};

/// Becomes the program open as `image`: the same process with the same children, of which it knows
/// by the state. Returns only if that fails, and then nothing has changed.
/// Errors: ENOEXEC  no program for this machine; ETXTBSY  somebody writes to it; EACCES; ENOMEM.
[[nodiscard]] error_code execute_in_place(const UniqueFd& image, const Succession& succession);

/// The way back to the program before, for as long as this one has not taken over. Takes it by
/// itself when this program crashes or takes more than ten seconds: what is called in a signal's
/// handler is system calls alone. The program that it leads to has no way back, so that no two can
/// go on executing each other.
class WayBack {
  public:
    /// `kept`: as far as known; go() keeps them open. The environment is this process's own at the
    /// time, before anything has changed it.
    WayBack(std::string title, int state, int image_before);
    WayBack(const WayBack&) = delete;
    WayBack& operator=(const WayBack&) = delete;

    void keep(std::vector<int> descriptors);

    /// Becomes the program before, which will say `why`. Ends this process if even that fails.
    [[noreturn]] void go(const std::string& why) noexcept;

    /// This program has taken over: there is no way back any more. Signals that mean a fault mean
    /// what they did.
    void close() noexcept;
};

}  // namespace preforkd::master
