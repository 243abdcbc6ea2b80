#pragma once

#include <optional>
#include <string_view>

#include "worker/services/http_date.hpp"
#include "worker/services/http_parser.hpp"

namespace preforkd::worker::http {

/// What identifies the representation that would be sent. A list of a folder has neither.
struct Validators {
    std::string_view etag;  ///< strong, with its quotes; or empty
    std::optional<UnixTime> last_modified;
};

enum class Condition : std::uint8_t {
    holds,         ///< answer the request
    not_modified,  ///< 304: the client has it
    failed,        ///< 412
};

/// Evaluates If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since of a GET or HEAD
/// for what would be answered with 200 (§13.2.1), in the order of RFC 9110 §13.2.2. A tag that
/// isn't there matches no list but "*", and a date that isn't there is not compared (§13.1.3,
/// §13.1.4). `now` is needed for old dates.
[[nodiscard]] Condition evaluate_conditions(const RequestHead& head, const Validators& current,
                                            UnixTime now) noexcept;

/// Whether Range may be obeyed: there is no If-Range, or it names the current representation. A
/// date does so only once its second is over, for until then the file may change again without
/// another Last-Modified. Source: RFC 9110 §13.1.5, §8.8.2.2.
[[nodiscard]] bool is_range_current(const RequestHead& head, const Validators& current,
                                    UnixTime now) noexcept;

/// Whether the list of entity tags, or "*", names `etag` (which is strong). The weak comparison
/// ignores W/ in the list. What is malformed ends the list. Source: RFC 9110 §8.8.3.
[[nodiscard]] bool matches_etag(std::string_view list, std::string_view etag, bool weakly) noexcept;

}  // namespace preforkd::worker::http
