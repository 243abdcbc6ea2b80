#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shared/scoreboard_reader.hpp"
#include "shared/types.hpp"

namespace preforkd::ctl {

/// Two readings of one server; what is per second and how long requests took is of the time
/// between them.
struct Readings {
    Snapshot before;
    Snapshot now;
    std::chrono::nanoseconds between{};
    TimePoint moment;       ///< of `now`
    std::int64_t time = 0;  ///< the same in seconds since 1970
};

/// What `preforkctl status` prints.
[[nodiscard]] std::string status_text(const Readings& readings);

/// `text` drawn over what a terminal of so many rows shows, without a flicker; what finds no room
/// is counted in the last row. Rows 0: of unknown height.
[[nodiscard]] std::string on_screen(std::string_view text, std::size_t rows);

/// "42 s", "12m 03s", "4h 12m", "3d 04h".
[[nodiscard]] std::string duration_text(seconds duration);

/// "812", "9.8M": bytes in the largest unit that leaves a number of at least 1.
[[nodiscard]] std::string size_text(std::uint64_t bytes);

/// "-", "840us", "2.1ms", "1.50s", of nanoseconds.
[[nodiscard]] std::string latency_text(std::uint64_t nanoseconds);

}  // namespace preforkd::ctl
