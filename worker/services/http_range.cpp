#include "worker/services/http_range.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "worker/services/http_syntax.hpp"

namespace preforkd::worker::http {
namespace {

/// A number that 64 bits can't hold is read as the highest: it lies beyond every file.
std::optional<std::uint64_t> read_number(std::string_view text) noexcept {
    if (text.empty() || !all(digit_character, text)) return {};
    std::uint64_t number = 0;
    for (const char character : text) {
        const auto digit = static_cast<std::uint64_t>(character - '0');
        if (number > (UINT64_MAX - digit) / 10) return UINT64_MAX;
        number = number * 10 + digit;
    }
    return number;
}

/// `all_of_nothing` is satisfiable by an empty file, but no Content-Range can say so.
enum class Spec : std::uint8_t { malformed, beyond, all_of_nothing, satisfiable };

/// One range-spec: "first-last", "first-" or "-suffix".
Spec read_spec(std::string_view spec, std::uint64_t size, ByteRange& range) noexcept {
    const std::size_t dash = spec.find('-');
    if (dash == std::string_view::npos) return Spec::malformed;
    const auto first = read_number(spec.substr(0, dash));
    const auto last = read_number(spec.substr(dash + 1));
    if (dash == 0) {
        if (!last) return Spec::malformed;
        if (*last == 0) return Spec::beyond;
        if (size == 0) return Spec::all_of_nothing;
        range = {size - std::min(*last, size), size - 1};
        return Spec::satisfiable;
    }
    const bool is_open = dash + 1 == spec.size();
    if (!first || (!last && !is_open) || (last && *last < *first)) return Spec::malformed;
    if (*first >= size) return Spec::beyond;
    range = {*first, last ? std::min(*last, size - 1) : size - 1};
    return Spec::satisfiable;
}

}  // namespace

RangeVerdict read_ranges(std::string_view field, std::uint64_t size, RangeSet& set) noexcept {
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos || !equals_ignoring_case(field.substr(0, equals), "bytes"))
        return RangeVerdict::whole;
    std::string_view list = field.substr(equals + 1);
    set.count = 0;
    std::size_t specs = 0;
    std::uint64_t total = 0;
    while (!list.empty()) {
        const std::string_view member = take_member(list);
        if (member.empty()) continue;  // RFC 9110 §5.6.1.2
        ByteRange range;
        const Spec spec = read_spec(member, size, range);
        if (spec == Spec::malformed || spec == Spec::all_of_nothing) return RangeVerdict::whole;
        if (++specs > RangeSet::capacity) return RangeVerdict::whole;
        if (spec == Spec::beyond) continue;
        if (range.length() > size - total) return RangeVerdict::whole;
        total += range.length();
        set.ranges[set.count++] = range;
    }
    if (set.count > 0) return RangeVerdict::partial;
    return specs > 0 ? RangeVerdict::unsatisfiable : RangeVerdict::whole;
}

std::string content_range(const ByteRange& range, std::uint64_t size) {
    return fmt::format("bytes {}-{}/{}", range.first, range.last, size);
}

Multipart::Multipart(std::string_view type, std::string_view boundary, std::uint64_t size,
                     const RangeSet& set)
    : closing_(fmt::format("\r\n--{}--\r\n", boundary)) {
    for (std::size_t i = 0; i < set.count; ++i) {
        const ByteRange& range = set.ranges[i];
        heads_[i] = fmt::format("{}--{}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                                i == 0 ? "" : "\r\n", boundary, type, content_range(range, size));
        content_length_ += heads_[i].size() + range.length();
    }
    content_length_ += closing_.size();
}

}  // namespace preforkd::worker::http
