#pragma once

#include <cstdint>
#include <string_view>

namespace preforkd::worker::http {

/// The status codes this server sends. Source: RFC 9110 §15; RFC 6585 §5 (431).
enum class Status : std::uint16_t {
    ok = 200,
    no_content = 204,
    partial_content = 206,
    moved_permanently = 301,
    not_modified = 304,
    bad_request = 400,
    forbidden = 403,
    not_found = 404,
    method_not_allowed = 405,
    request_timeout = 408,
    precondition_failed = 412,
    content_too_large = 413,
    uri_too_long = 414,
    range_not_satisfiable = 416,
    expectation_failed = 417,
    misdirected_request = 421,
    fields_too_large = 431,
    internal_error = 500,
    not_implemented = 501,
    unavailable = 503,
    version_not_supported = 505,
};

/// "HTTP/1.1 404 Not Found\r\n".
[[nodiscard]] std::string_view status_line(Status status) noexcept;

/// The reason phrase of the status line, such as "Not Found".
[[nodiscard]] std::string_view reason_phrase(Status status) noexcept;

[[nodiscard]] constexpr unsigned code(Status status) noexcept {
    return static_cast<unsigned>(status);
}

/// Why a request is refused: the status to answer with, and a constant text for the log. The
/// connection can't be used further, for where the next request starts is not known.
struct Refusal {
    Status status = Status::bad_request;
    const char* why = "";
};

}  // namespace preforkd::worker::http
