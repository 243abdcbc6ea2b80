#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace preforkd::bench {

/// Why a request got no right answer. Each request that is sent, or that could not be, ends either
/// answered or in exactly one of these; none is ever retried.
enum class Failure : std::uint8_t {
    refused,           ///< nobody listened: ECONNREFUSED
    no_connection,     ///< the connection could not be made for another reason
    reset,             ///< RST, or EPIPE, before the first byte of the answer
    end_of_stream,     ///< a clean close before the first byte of the answer
    truncated,         ///< the connection ended, in either way, inside the answer
    timeout,           ///< no whole answer within --timeout
    bad_status,        ///< an answer of another status than the one expected, or not the protocol
    wrong_content,     ///< right status, other length or bytes than expected
    stale_generation,  ///< answered by a generation older than one announced before connecting
    unanswered,        ///< pipelined behind an answer with which the server said it would close
};

inline constexpr std::size_t failure_kinds = 10;

/// Names as in the text and JSON reports, in the order of the enumeration.
inline constexpr std::array<std::string_view, failure_kinds> failure_names = {
    "refused", "no_connection", "reset",         "end_of_stream",    "truncated",
    "timeout", "bad_status",    "wrong_content", "stale_generation", "unanswered"};

}  // namespace preforkd::bench
