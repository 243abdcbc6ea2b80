#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace preforkd::worker::http {

/// Seconds since 1970-01-01 00:00:00 UTC, as stat(2) and HTTP count them.
using UnixTime = std::int64_t;

/// "Sun, 06 Nov 1994 08:49:37 GMT". Source: RFC 9110 §5.6.7, IMF-fixdate.
using DateText = std::array<char, 29>;

/// Requires: `time` in the years 0 to 9999; what lies outside is rendered as the nearest bound.
[[nodiscard]] DateText format_date(UnixTime time) noexcept;

/// Reads any of the three forms: IMF-fixdate, RFC 850 (whose year of two digits is the one at most
/// 50 years after `now`), asctime. Nothing when the text is none of them. Source: RFC 9110 §5.6.7.
[[nodiscard]] std::optional<UnixTime> parse_date(std::string_view text, UnixTime now) noexcept;

[[nodiscard]] inline std::string_view view(const DateText& text) noexcept {
    return {text.data(), text.size()};
}

}  // namespace preforkd::worker::http
