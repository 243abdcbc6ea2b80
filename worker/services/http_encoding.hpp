#pragma once

#include "worker/services/http_parser.hpp"

namespace preforkd::worker::http {

/// Content codings that a file may lie beside itself in, as NAME.gz and NAME.br. RFC 9110 §8.4.1.
enum class Coding : std::uint8_t { identity, gzip, brotli };

/// Which of what is there the client likes best by its Accept-Encoding; of equals the smaller.
/// Identity when it names none of them. Source: RFC 9110 §12.5.3.
[[nodiscard]] Coding choose_coding(const RequestHead& head, bool has_gzip,
                                   bool has_brotli) noexcept;

/// A weight in thousandths, by "q=0.5": 0 to 1000; 1000 when `parameters` is empty, 0 when
/// malformed. Source: RFC 9110 §12.4.2.
[[nodiscard]] unsigned read_weight(std::string_view parameters) noexcept;

}  // namespace preforkd::worker::http
