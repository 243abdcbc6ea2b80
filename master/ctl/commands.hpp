#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "shared/config.hpp"
#include "shared/result.hpp"

namespace preforkd::ctl {

enum class Command {
    status,
    reload,
    stop,
    upgrade,
    reopen,
    workers,
    metrics,
    board,
    help,
    version
};

/// What preforkctl was asked to do.
struct Order {
    Command command = Command::help;
    std::filesystem::path lock_file{};  ///< empty: the default one
    bool wait = false;                  ///< reload, upgrade: for the verdict
    bool fast = false;                  ///< stop: without draining
    bool json = false;                  ///< status
    bool watch = false;                 ///< status: again and again
    bool quiet = false;                 ///< status: only the exit code
    int change = 0;                     ///< workers: +1 or -1
    std::vector<std::string> rest{};    ///< board: its own arguments
};

/// An order, or what is wrong with the command line.
[[nodiscard]] boost::system::result<Order, Fault> parse_order(
    const std::vector<std::string>& arguments);

/// What -h prints.
[[nodiscard]] std::string help_text();

/// Carries it out; returns the exit code. Throws StartupError with what went wrong and its code.
/// Requires: the command is none of board, help, version.
[[nodiscard]] int carry_out(const Order& order);

}  // namespace preforkd::ctl
