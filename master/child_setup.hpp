#pragma once

#include <sys/capability.h>
#include <sys/types.h>

#include <array>

#include "master/credentials.hpp"

namespace preforkd::master {

/// All that the child of a fork needs on its way to the worker's image. Prepared before the fork:
/// after it only system calls are safe, for the master may have been anywhere in malloc.
struct ChildSetup {
    int image = -1;                    ///< the program, executed by descriptor
    std::array<int, 4> descriptors{};  ///< become 0, 1, 2 and the channel, 3
    char* const* argv = nullptr;
    char* const* environment = nullptr;
    const Credentials* credentials = nullptr;  ///< nothing: the ids stay
    cap_t no_capabilities = nullptr;           ///< from cap_init(3)
    pid_t master = 0;
    const char* oom_score = "";  ///< for /proc/self/oom_score_adj; empty: as it is
};

/// Runs in the child, with every signal blocked: the steps of README, "From fork to worker", and
/// then the image. A step that fails is told to the master through the channel, as a worker's own
/// failure is.
[[noreturn]] void become_worker(const ChildSetup& setup) noexcept;

}  // namespace preforkd::master
