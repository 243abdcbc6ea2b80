#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/services/http_status.hpp"
#include "worker/services/http_syntax.hpp"

// The head of an HTTP/1.x request, in one strict pass that allocates nothing. What could be read
// two ways is refused. Source: RFC 9112 (syntax, framing), RFC 9110 (fields).

namespace preforkd::worker::http {

/// `known` methods are registered but not served here (405); `unknown` ones are not (501).
enum class Method : std::uint8_t { get, head, options, known, unknown };

/// Source: RFC 9112 §3.2. `authority` comes with CONNECT alone, `asterisk` with OPTIONS alone.
enum class TargetForm : std::uint8_t { origin, absolute, asterisk, authority };

enum class BodyKind : std::uint8_t { none, length, chunked };

/// The fields whose values are kept.
enum class Field : std::uint8_t {
    host,
    connection,
    content_length,
    transfer_encoding,
    expect,
    range,
    if_range,
    if_match,
    if_none_match,
    if_modified_since,
    if_unmodified_since,
    accept_encoding,
    referer,
    user_agent,
    none,
};

struct Limits {
    std::size_t head = 16 * 1024;  ///< bytes of request line and fields together
    std::size_t line = 8 * 1024;   ///< bytes of the target, and of each field line
    std::size_t fields = 100;      ///< field lines
    std::uint64_t body = 1 << 20;  ///< bytes of content
};

/// A complete request head. Every view points into the parsed bytes, or is a constant.
struct RequestHead {
    std::string_view line;         ///< the request line without its CRLF
    std::string_view method_text;  ///< as received
    std::string_view target;       ///< as received: printable ASCII without space " < > #
    std::string_view path;         ///< of origin and absolute form: from its slash to the query
    std::string_view query;        ///< from its question mark, or empty
    std::string_view host;         ///< host and port, of the target if it names one; may be empty
    std::string_view field_lines;  ///< all of them, each with its CRLF
    std::uint64_t content_length = 0;
    Method method = Method::unknown;
    TargetForm form = TargetForm::origin;
    BodyKind body = BodyKind::none;
    std::uint8_t minor_version = 1;  ///< 0 or 1; later ones count as 1 (RFC 9110 §2.5)
    bool keep_alive = false;         ///< what the client asks for (RFC 9112 §9.3); not by CONNECT
    bool expects_continue = false;   ///< and has a body to send

    /// Whether the field was sent, if only with an empty value.
    [[nodiscard]] bool has(Field field) const noexcept { return value(field).data() != nullptr; }
    /// The trimmed value of the first line of this name.
    [[nodiscard]] std::string_view value(Field field) const noexcept {
        return values[static_cast<std::size_t>(field)];
    }
    /// Whether more than one line has this name; only lists, Referer and User-Agent may.
    [[nodiscard]] bool is_repeated(Field field) const noexcept {
        return (repeated >> static_cast<unsigned>(field) & 1U) != 0;
    }

    std::array<std::string_view, static_cast<std::size_t>(Field::none)> values;
    std::uint32_t repeated = 0;  ///< one bit per Field
};

struct HeadResult {
    enum class Kind : std::uint8_t { incomplete, complete, refused };
    Kind kind = Kind::incomplete;
    std::size_t length = 0;  ///< when complete: bytes of the head, with its empty line
    Refusal refusal;         ///< when refused
};

/// Parses the request head that `bytes` begins with. Every prefix of some bytes gives `incomplete`
/// or what the whole gives, so it doesn't matter how they arrive. `head` is valid when complete;
/// else its line, method, method_text and target may be set, for the answer and the log. Requires:
/// `head` is as constructed.
[[nodiscard]] HeadResult parse_head(std::string_view bytes, const Limits& limits,
                                    RequestHead& head) noexcept;

/// The values of every line of this name, in order: `take` is called with each, trimmed.
template <class Take>
void for_each_value(const RequestHead& head, Field field, Take take);

/// The field's kind by its name in any case, Field::none when it is not kept.
/// Requires: `name` is a token.
[[nodiscard]] Field field_of(std::string_view name) noexcept;

template <class Take>
void for_each_value(const RequestHead& head, Field field, Take take) {
    if (!head.has(field)) return;
    if (!head.is_repeated(field)) return take(head.value(field));
    std::string_view lines = head.field_lines;
    while (!lines.empty()) {
        const std::string_view line = lines.substr(0, lines.find("\r\n"));
        const std::size_t colon = line.find(':');
        if (field_of(line.substr(0, colon)) == field) take(trim(line.substr(colon + 1)));
        lines.remove_prefix(line.size() + 2);
    }
}

}  // namespace preforkd::worker::http
