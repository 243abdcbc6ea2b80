#pragma once

#include <string_view>

namespace preforkd {

/// A process is a worker when this is its first argument and its fd 3 is the channel; argv[0] is
/// only its title.
inline constexpr std::string_view worker_argument = "--worker";

}  // namespace preforkd
