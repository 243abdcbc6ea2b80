#include "worker/services/http_conditional.hpp"

#include "worker/services/http_syntax.hpp"

namespace preforkd::worker::http {
namespace {

bool any_line_matches(const RequestHead& head, Field field, std::string_view etag, bool weakly) {
    bool matches = false;
    for_each_value(head, field, [&](std::string_view list) {
        matches = matches || matches_etag(list, etag, weakly);
    });
    return matches;
}

enum class Since : std::uint8_t { invalid, unmodified, modified };

/// Invalid unless the field holds a valid date and `modified` is known.
Since compare_date(const RequestHead& head, Field field, std::optional<UnixTime> modified,
                   UnixTime now) noexcept {
    if (!modified || !head.has(field)) return Since::invalid;
    const auto date = parse_date(head.value(field), now);
    if (!date) return Since::invalid;
    return *modified <= *date ? Since::unmodified : Since::modified;
}

}  // namespace

bool matches_etag(std::string_view list, std::string_view etag, bool weakly) noexcept {
    if (trim(list) == "*") return true;
    for (;;) {
        while (!list.empty() && (is_blank(list.front()) || list.front() == ','))
            list.remove_prefix(1);
        const bool is_weak = list.substr(0, 2) == "W/";
        if (is_weak) list.remove_prefix(2);
        if (list.empty() || list.front() != '"') return false;
        const std::size_t quote = list.find('"', 1);
        if (quote == std::string_view::npos) return false;
        if ((weakly || !is_weak) && list.substr(0, quote + 1) == etag) return true;
        list.remove_prefix(quote + 1);
        while (!list.empty() && is_blank(list.front())) list.remove_prefix(1);
        if (!list.empty() && list.front() != ',') return false;
    }
}

Condition evaluate_conditions(const RequestHead& head, const Validators& current,
                              UnixTime now) noexcept {
    if (head.has(Field::if_match)) {
        if (!any_line_matches(head, Field::if_match, current.etag, false)) return Condition::failed;
    } else if (compare_date(head, Field::if_unmodified_since, current.last_modified, now) ==
               Since::modified) {
        return Condition::failed;
    }
    if (head.has(Field::if_none_match)) {
        if (any_line_matches(head, Field::if_none_match, current.etag, true))
            return Condition::not_modified;
    } else if (compare_date(head, Field::if_modified_since, current.last_modified, now) ==
               Since::unmodified) {
        return Condition::not_modified;
    }
    return Condition::holds;
}

bool is_range_current(const RequestHead& head, const Validators& current, UnixTime now) noexcept {
    if (!head.has(Field::if_range)) return true;
    const std::string_view value = head.value(Field::if_range);
    if (!value.empty() && value.front() == '"') return value == current.etag;
    const auto date = parse_date(value, now);
    return date && date == current.last_modified && now > *date;
}

}  // namespace preforkd::worker::http
