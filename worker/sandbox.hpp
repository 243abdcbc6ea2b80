#pragma once

#include <vector>

#include "worker/system_calls.hpp"

namespace preforkd::worker {

/// What a worker keeps when it confines itself.
struct Sandbox {
    AllNeeds needs;
    std::vector<int> folders;  ///< that services read, if they declare so
    int last_shared = 3;       ///< the highest descriptor that other workers have as well
};

/// Confines this process, for good: Landlock for what is reached by name, seccomp for system calls.
/// What the kernel lacks is left out; the master has said so. Requires: no other thread.
/// Throws std::runtime_error, with a text for whoever runs the server.
void confine(const Sandbox& sandbox);

}  // namespace preforkd::worker
