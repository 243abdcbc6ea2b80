#include <fmt/format.h>

#include <string>
#include <vector>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "worker/services/board_command.hpp"

// preforkctl: what an administrator does to a server or its files from outside.

namespace {

constexpr const char* usage = "usage: preforkctl board export|import|check FILE\n";

int run(const std::vector<std::string>& arguments) {
    if (arguments.empty() || arguments[0] != "board") {
        fmt::print(stderr, "{}", usage);
        return preforkd::exit_usage;
    }
    const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
    return preforkd::worker::board::run_board_command(rest, 0, 1, 2);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run({argv + 1, argv + argc});
    } catch (const preforkd::StartupError& error) {
        fmt::print(stderr, "preforkctl: {}\n", error.what());
        return error.exit_code();
    } catch (const std::exception& error) {
        fmt::print(stderr, "preforkctl: {}\n", error.what());
        return preforkd::exit_failure;
    }
}
