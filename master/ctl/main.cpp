#include <fmt/format.h>
#include <unistd.h>

#include <sstream>
#include <string>
#include <vector>

#include "master/ctl/commands.hpp"
#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "worker/services/board_command.hpp"

// preforkctl: what an administrator asks of a running server, or does to its files, from outside.

namespace {

using namespace preforkd;

int run(const std::vector<std::string>& arguments) {
    const auto order = ctl::parse_order(arguments);
    if (!order) throw StartupError(exit_usage, to_string(order.error()));
    switch (order->command) {
        case ctl::Command::help:
            fmt::print("{}", ctl::help_text());
            return exit_ok;
        case ctl::Command::version:
            fmt::print("preforkctl {}\n", PREFORKD_VERSION);
            return exit_ok;
        case ctl::Command::board:
            return worker::board::run_board_command(order->rest, STDIN_FILENO, STDOUT_FILENO,
                                                    STDERR_FILENO);
        default:
            return ctl::carry_out(*order);
    }
}

int report(const StartupError& error) {
    std::istringstream text(error.what());
    for (std::string line; std::getline(text, line);)
        fmt::print(stderr, "{}{}\n", line.starts_with(' ') ? "" : "preforkctl: ", line);
    return error.exit_code();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run({argv + 1, argv + argc});
    } catch (const StartupError& error) {
        return report(error);
    } catch (const std::exception& error) {
        return report(StartupError(exit_failure, error.what()));
    }
}
