#pragma once

#include <span>
#include <string>

namespace preforkd::worker::board {

/// `preforkctl board` with what stands behind it: `export FILE`, `import [--fill-gaps[=N]]
/// FILE`, `check FILE`, `-h`. Text goes out by descriptor `out` and comes in by `in`; faults,
/// results, and on a terminal how far it is, go to `messages`. Returns the exit code: 0, 1 if
/// anything is damaged, 2 usage. Throws StartupError when it can't go on.
[[nodiscard]] int run_board_command(std::span<const std::string> arguments, int in, int out,
                                    int messages);

}  // namespace preforkd::worker::board
