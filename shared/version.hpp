#pragma once

#include <string_view>

namespace preforkd {

/// Of this program's library: "0.1.0".
[[nodiscard]] std::string_view program_version() noexcept;

}  // namespace preforkd
