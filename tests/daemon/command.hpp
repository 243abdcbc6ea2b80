#pragma once

#include <functional>
#include <string>
#include <vector>

#include "processes.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::testing {

/// Stands in an environment's value for the pid of the process that gets it.
inline constexpr const char* own_pid = "{pid}";

/// The path of the preforkd that was built beside the tests.
[[nodiscard]] std::string built_program();

/// A program to execute, with nothing of the test's environment and descriptors.
struct Command {
    std::string program = built_program();
    std::vector<std::string> arguments;    ///< the first is the name it is started by
    std::vector<std::string> environment;  ///< NAME=VALUE
    std::function<void()> before_exec{};   ///< in the child, as its last act
};

/// A program that runs: 0 is /dev/null, 1 and 2 are one pipe.
struct Execution {
    Process process;
    UniqueFd printed;
};

/// How a program came to its end.
struct Outcome {
    Exit exit;
    std::string printed;
};

[[nodiscard]] Execution execute(const Command& command);

/// Waits until the program has ended and nobody can print any more; fails the test at its deadline.
[[nodiscard]] Outcome finish(Execution execution);

/// `preforkd ARGUMENTS`, from its start to its end.
[[nodiscard]] Outcome run_preforkd(const std::vector<std::string>& arguments);

/// `preforkctl -p LOCK_FILE ARGUMENTS`.
[[nodiscard]] Command preforkctl_command(const std::string& lock_file,
                                         const std::vector<std::string>& arguments);

/// The same, from its start to its end.
[[nodiscard]] Outcome run_preforkctl(const std::string& lock_file,
                                     const std::vector<std::string>& arguments,
                                     std::function<void()> before_exec = {});

/// NAME=VALUE of ours that a sanitized program needs.
[[nodiscard]] std::vector<std::string> sanitizer_options();

}  // namespace preforkd::testing
