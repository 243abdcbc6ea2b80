#pragma once

#include <string>
#include <vector>

#include "shared/kernel_sandbox.hpp"

namespace preforkd::master {

/// How this program was started: what a reload and an upgrade go by. It never changes in the
/// master's life, whatever program it is.
struct StartRecord {
    std::string program;                 ///< the name that it goes by, without folders
    std::string image_path;              ///< absolute: where an upgrade finds the next program
    std::vector<std::string> arguments;  ///< after the program's name
    std::string working_folder;          ///< the caller's
    /// The caller's environment, each NAME=VALUE, less LISTEN_*.
    std::vector<std::string> environment;
    bool foreground = true;
    std::string oom_score{};  ///< of the workers, see lower_oom_score()
    KernelSandbox kernel{};   ///< asked for once, so that all workers are confined alike
};

}  // namespace preforkd::master
