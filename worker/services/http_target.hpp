#pragma once

#include "worker/services/http_parser.hpp"

namespace preforkd::worker::http {

/// Whether `text` is a host with an optional port, as Host and an http URI hold it: not empty, no
/// user information, IPv6 in brackets. Source: RFC 3986 §3.2.2, RFC 9110 §4.2.1 and §7.2.
[[nodiscard]] bool is_valid_authority(std::string_view text) noexcept;

/// Sets form, and for an absolute form path and host, of `head` from its method, target, path and
/// query, which were told apart at the target's question mark. False, with the reason in `refusal`,
/// for a target that the method may not have. Source: RFC 9112 §3.2; RFC 9110 §7.4 for https over a
/// connection that isn't secured (421).
[[nodiscard]] bool read_target(RequestHead& head, Refusal& refusal) noexcept;

}  // namespace preforkd::worker::http
