#pragma once

#include <functional>
#include <string>

#include "shared/log_level.hpp"

namespace preforkd::worker::board {

/// Takes a line for the error log. Called in the event loop's thread only.
using Report = std::function<void(LogLevel level, const std::string& text)>;

}  // namespace preforkd::worker::board
