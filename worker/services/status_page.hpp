#pragma once

#include <string>
#include <string_view>

#include "shared/scoreboard_reader.hpp"
#include "shared/types.hpp"

namespace preforkd::worker {

/// The page for people: complete as it is sent, without scripts; with them it renews itself from
/// /status.json every second and draws what it has seen. Nothing is loaded from anywhere else.
[[nodiscard]] std::string status_page(const Snapshot& snapshot, TimePoint now);

/// Its parts that are always the same.
[[nodiscard]] std::string_view status_page_style() noexcept;
[[nodiscard]] std::string_view status_page_script() noexcept;

}  // namespace preforkd::worker
