#include "worker/services/http_parser.hpp"

#include <algorithm>
#include <cstring>

#include "worker/services/http_target.hpp"

namespace preforkd::worker::http {
namespace {

constexpr std::size_t longest_method = 32;
constexpr std::size_t longest_kept_name = 19;

struct KeptField {
    std::string_view name;
    Field field;
};

// Sorted by length, so that a name is compared with at most four others.
constexpr KeptField kept_fields[] = {
    {"host", Field::host},
    {"range", Field::range},
    {"expect", Field::expect},
    {"referer", Field::referer},
    {"if-match", Field::if_match},
    {"if-range", Field::if_range},
    {"connection", Field::connection},
    {"user-agent", Field::user_agent},
    {"if-none-match", Field::if_none_match},
    {"content-length", Field::content_length},
    {"accept-encoding", Field::accept_encoding},
    {"transfer-encoding", Field::transfer_encoding},
    {"if-modified-since", Field::if_modified_since},
    {"if-unmodified-since", Field::if_unmodified_since},
};

// first_of_length[n] is the first kept field whose name has n bytes or more.
constexpr auto first_of_length = [] {
    std::array<std::uint8_t, longest_kept_name + 2> first{};
    for (std::size_t length = 0; length < first.size(); ++length)
        for (const KeptField& kept : kept_fields)
            if (kept.name.size() < length) ++first[length];
    return first;
}();

Method method_of(std::string_view text) noexcept {
    if (text == "GET") return Method::get;
    if (text == "HEAD") return Method::head;
    if (text == "OPTIONS") return Method::options;
    // Source: RFC 9110 §9.3, RFC 5789.
    for (const std::string_view known : {"POST", "PUT", "DELETE", "CONNECT", "TRACE", "PATCH"})
        if (text == known) return Method::known;
    return Method::unknown;
}

/// One pass over the bytes. Each step says whether to go on; if not, result_ holds the verdict.
/// A verdict must follow from the bytes up to where it is found, never from how many came after.
class Pass {
  public:
    Pass(std::string_view bytes, const Limits& limits, RequestHead& head) noexcept
        : begin_(bytes.data()),
          at_(begin_),
          end_(begin_ + std::min(bytes.size(), limits.head)),
          head_is_full_(bytes.size() >= limits.head),
          limits_(limits),
          head_(head) {}

    HeadResult run() noexcept {
        if (skip_empty_line() && read_request_line() && read_fields() && decide_framing()) {
            result_.kind = HeadResult::Kind::complete;
            result_.length = static_cast<std::size_t>(at_ - begin_);
        }
        return result_;
    }

  private:
    bool refuse(Status status, const char* why) noexcept {
        result_ = {HeadResult::Kind::refused, 0, {status, why}};
        return false;
    }

    /// The bytes end inside the request line, or inside a field.
    bool need_more(Status when_full) noexcept {
        if (head_is_full_) return refuse(when_full, "head longer than max_head");
        return false;
    }
    bool need_more_line() noexcept { return need_more(Status::uri_too_long); }
    bool need_more_fields() noexcept { return need_more(Status::fields_too_large); }

    /// Some clients send one after a body. Source: RFC 9112 §2.2.
    bool skip_empty_line() noexcept {
        if (at_ == end_) return need_more_line();
        if (*at_ != '\r') return true;
        if (end_ - at_ < 2) return need_more_line();
        if (at_[1] != '\n') return refuse(Status::bad_request, "bare CR before the request line");
        at_ += 2;
        return true;
    }

    bool read_request_line() noexcept {
        const char* const line = at_;
        if (!read_method() || !read_request_target() || !read_version()) return false;
        head_.line = {line, static_cast<std::size_t>(at_ - line) - 2};
        if (*head_.target.data() == '/' && head_.method != Method::known) return true;
        return read_target(head_, result_.refusal) ||
               refuse(result_.refusal.status, result_.refusal.why);
    }

    bool read_method() noexcept {
        const char* const stop = skip(token_character, at_, end_);
        const auto length = static_cast<std::size_t>(stop - at_);
        if (length > longest_method) return refuse(Status::not_implemented, "method too long");
        if (stop == end_) return need_more_line();
        if (*stop != ' ' || length == 0) return refuse(Status::bad_request, "malformed method");
        head_.method_text = {at_, length};
        head_.method = method_of(head_.method_text);
        at_ = stop + 1;
        return true;
    }

    bool read_request_target() noexcept {
        const char* const path_end = skip(path_character, at_, end_);
        const char* const stop = skip(target_character, path_end, end_);
        const auto length = static_cast<std::size_t>(stop - at_);
        if (length > limits_.line) return refuse(Status::uri_too_long, "target too long");
        if (stop == end_) return need_more_line();
        if (*stop != ' ' || length == 0)
            return refuse(Status::bad_request, "target empty or with a forbidden character");
        head_.target = {at_, length};
        head_.path = {at_, static_cast<std::size_t>(path_end - at_)};
        head_.query = {path_end, static_cast<std::size_t>(stop - path_end)};
        at_ = stop + 1;
        return true;
    }

    bool read_version() noexcept {
        constexpr std::string_view expected = "HTTP/1.1\r\n";
        const auto there = static_cast<std::size_t>(end_ - at_);
        if (there >= expected.size() && std::memcmp(at_, expected.data(), expected.size()) == 0) {
            at_ += expected.size();
            return true;
        }
        return read_other_version(std::min(there, expected.size()));
    }

    /// Anything but a whole "HTTP/1.1" and CRLF: `there` bytes of at most ten.
    bool read_other_version(std::size_t there) noexcept {
        constexpr std::string_view pattern = "HTTP/d.d\r\n";
        for (std::size_t i = 0; i < there; ++i) {
            const bool fits =
                pattern[i] == 'd' ? is(digit_character, at_[i]) : at_[i] == pattern[i];
            if (!fits) return refuse(Status::bad_request, "malformed version or line end");
            if (i == 7 && at_[5] != '1')
                return refuse(Status::version_not_supported, "version other than 1.x");
        }
        if (there < pattern.size()) return need_more_line();
        head_.minor_version = at_[7] == '0' ? 0 : 1;
        at_ += pattern.size();
        return true;
    }

    bool read_fields() noexcept {
        const char* const first = at_;
        for (std::size_t count = 0;; ++count) {
            if (at_ == end_) return need_more_fields();
            if (*at_ == '\r') {
                head_.field_lines = {first, static_cast<std::size_t>(at_ - first)};
                return read_end_of_fields();
            }
            if (count == limits_.fields) return refuse(Status::fields_too_large, "too many fields");
            if (!read_field()) return false;
        }
    }

    bool read_end_of_fields() noexcept {
        if (end_ - at_ < 2) return need_more_fields();
        if (at_[1] != '\n') return refuse(Status::bad_request, "bare CR");
        at_ += 2;
        return true;
    }

    bool read_field() noexcept {
        const char* const colon = skip(token_character, at_, end_);
        const auto name_length = static_cast<std::size_t>(colon - at_);
        if (name_length > limits_.line) return refuse(Status::fields_too_large, "field too long");
        if (colon == end_) return need_more_fields();
        if (*colon != ':' || name_length == 0) return refuse_name(colon);
        const char* const stop = skip_value(colon + 1, end_);
        if (static_cast<std::size_t>(stop - at_) > limits_.line)
            return refuse(Status::fields_too_large, "field too long");
        if (stop == end_) return need_more_fields();
        if (*stop != '\r')
            return refuse(Status::bad_request, "control character or bare LF in a field");
        if (end_ - stop < 2) return need_more_fields();
        if (stop[1] != '\n') return refuse(Status::bad_request, "bare CR in a field");
        const std::string_view name(at_, name_length);
        const std::string_view value(colon + 1, static_cast<std::size_t>(stop - colon) - 1);
        at_ = stop + 2;
        const Field field = field_of(name);
        return field == Field::none || keep(field, trim(value));
    }

    bool refuse_name(const char* stop) noexcept {
        if (stop == at_ && is_blank(*stop)) return refuse(Status::bad_request, "folded field line");
        if (is_blank(*stop)) return refuse(Status::bad_request, "space before a field's colon");
        return refuse(Status::bad_request, "malformed field name");
    }

    bool keep(Field field, std::string_view value) noexcept {
        std::string_view& slot = head_.values[static_cast<std::size_t>(field)];
        const bool first = slot.data() == nullptr;
        if (first) slot = value;
        if (!first) head_.repeated |= 1U << static_cast<unsigned>(field);
        switch (field) {
            case Field::host:
                return once(first) && keep_host(value);
            case Field::content_length:
                return once(first) && keep_content_length(value);
            case Field::transfer_encoding:
                return once(first) && keep_transfer_encoding(value);
            case Field::connection:
                return keep_connection(value);
            case Field::expect:
                return keep_expect(value);
            case Field::range:
            case Field::if_range:
            case Field::if_modified_since:
            case Field::if_unmodified_since:
                return once(first);
            default:
                return true;
        }
    }

    bool once(bool first) noexcept {
        return first || refuse(Status::bad_request, "field repeated that may come once");
    }

    bool keep_host(std::string_view value) noexcept {
        if (!is_valid_authority(value)) return refuse(Status::bad_request, "invalid Host");
        if (head_.form != TargetForm::absolute) head_.host = value;
        return true;
    }

    /// A number that doesn't fit 64 bits is as good as the highest: it exceeds every limit.
    bool keep_content_length(std::string_view value) noexcept {
        if (value.empty() || !all(digit_character, value) || (value.size() > 1 && value[0] == '0'))
            return refuse(Status::bad_request, "malformed Content-Length");
        if (head_.body == BodyKind::chunked)
            return refuse(Status::bad_request, "Content-Length with Transfer-Encoding");
        std::uint64_t length = value.size() > 19 ? UINT64_MAX : 0;
        if (length == 0)
            for (const char digit : value)
                length = length * 10 + static_cast<std::uint64_t>(digit - '0');
        head_.content_length = length;
        head_.body = length > 0 ? BodyKind::length : BodyKind::none;
        return true;
    }

    bool keep_transfer_encoding(std::string_view value) noexcept {
        if (head_.has(Field::content_length))
            return refuse(Status::bad_request, "Content-Length with Transfer-Encoding");
        if (head_.minor_version == 0)
            return refuse(Status::bad_request, "Transfer-Encoding in HTTP/1.0");
        if (!equals_ignoring_case(value, "chunked"))
            return refuse(Status::bad_request, "transfer coding other than chunked alone");
        head_.body = BodyKind::chunked;
        return true;
    }

    bool keep_connection(std::string_view value) noexcept {
        while (!value.empty()) {
            const std::string_view option = take_member(value);
            says_close_ |= equals_ignoring_case(option, "close");
            says_keep_alive_ |= equals_ignoring_case(option, "keep-alive");
        }
        return true;
    }

    bool keep_expect(std::string_view value) noexcept {
        while (!value.empty()) {
            const std::string_view member = take_member(value);
            if (equals_ignoring_case(member, "100-continue"))
                expects_continue_ = true;
            else if (!member.empty())
                expects_unknown_ = true;
        }
        return true;
    }

    bool decide_framing() noexcept {
        const bool is_1_0 = head_.minor_version == 0;
        if (!is_1_0 && !head_.has(Field::host)) return refuse(Status::bad_request, "no Host");
        // HTTP/1.0 clients can't expect anything. Source: RFC 9110 §10.1.1.
        if (!is_1_0 && expects_unknown_)
            return refuse(Status::expectation_failed, "expectation other than 100-continue");
        if (head_.body == BodyKind::length && head_.content_length > limits_.body)
            return refuse(Status::content_too_large, "content longer than max_body");
        // What follows a CONNECT may be meant for the tunnel that it doesn't get.
        head_.keep_alive =
            !says_close_ && (!is_1_0 || says_keep_alive_) && head_.form != TargetForm::authority;
        head_.expects_continue = !is_1_0 && expects_continue_ && head_.body != BodyKind::none;
        return true;
    }

    const char* begin_;
    const char* at_;
    const char* end_;
    bool head_is_full_;  // no further byte can belong to the head
    bool says_close_ = false;
    bool says_keep_alive_ = false;
    bool expects_continue_ = false;
    bool expects_unknown_ = false;
    const Limits& limits_;
    RequestHead& head_;
    HeadResult result_;
};

}  // namespace

Field field_of(std::string_view name) noexcept {
    if (name.size() > longest_kept_name) return Field::none;
    for (std::size_t i = first_of_length[name.size()]; i < first_of_length[name.size() + 1]; ++i)
        if (token_equals(name, kept_fields[i].name)) return kept_fields[i].field;
    return Field::none;
}

HeadResult parse_head(std::string_view bytes, const Limits& limits, RequestHead& head) noexcept {
    return Pass(bytes, limits, head).run();
}

}  // namespace preforkd::worker::http
