#pragma once

#include <vector>

#include "shared/kernel_sandbox.hpp"
#include "worker/system_calls.hpp"

namespace preforkd::worker {

/// What a worker keeps when it confines itself.
struct Sandbox {
    KernelSandbox kernel;  ///< what the master found
    AllNeeds needs;
    std::vector<int> folders;  ///< that services read, if they declare so
    int last_shared = 3;       ///< the highest descriptor that other workers have as well
};

/// Confines this process, for good: Landlock for what is reached by name, seccomp for system calls.
/// What the master found missing is left out, for it has said so; whatever else can't be
/// had is an error. Requires: no other thread.
/// Throws std::runtime_error, with a text for whoever runs the server.
void confine(const Sandbox& sandbox);

}  // namespace preforkd::worker
