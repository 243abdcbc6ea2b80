#pragma once

#include <boost/system/result.hpp>
#include <span>
#include <string>
#include <vector>

#include "shared/config.hpp"
#include "shared/service_spec.hpp"

namespace preforkd {

/// KEY=VALUE as typed.
struct Assignment {
    std::string key;
    std::string value;
    bool operator==(const Assignment&) const = default;
};

/// What was typed after the program's name.
struct CommandLine {
    enum class Action {
        serve,
        check,             ///< -t: report faults
        check_and_render,  ///< -T: and print the effective configuration
        show_version,
        show_help,
    };
    Action action = Action::serve;
    std::string file;                   ///< -c; empty: the default file
    bool foreground = false;            ///< -F, or SERVICE ADDRESS
    bool quiet = false;                 ///< -q
    std::vector<Assignment> overrides;  ///< -o, with keys such as workers, listen.web.root
    std::string service;                ///< of SERVICE ADDRESS; empty: there is a file
    std::string address;
    std::vector<Assignment> settings;  ///< the KEY=VALUE after them

    bool operator==(const CommandLine&) const = default;
};

/// Reads the arguments, which don't include the program's name. A fault here ends the program with
/// exit code 2. With `alone` it is a program that serves one service alone, and has -f and -d.
[[nodiscard]] boost::system::result<CommandLine, Fault> parse_command_line(
    std::span<const std::string> arguments, const std::vector<ServiceSpec>& services,
    bool alone = false);

/// The options, one per line, for --help.
[[nodiscard]] std::string options_text(bool alone = false);

}  // namespace preforkd
