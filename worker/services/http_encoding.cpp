#include "worker/services/http_encoding.hpp"

#include <optional>

#include "worker/services/http_syntax.hpp"

namespace preforkd::worker::http {
namespace {

struct Weights {
    std::optional<unsigned> identity, gzip, brotli, others;

    void add(std::string_view member) noexcept {
        const std::size_t semicolon = member.find(';');
        const std::string_view name = trim(member.substr(0, semicolon));
        const unsigned weight =
            semicolon == std::string_view::npos ? 1000 : read_weight(member.substr(semicolon + 1));
        if (equals_ignoring_case(name, "br"))
            brotli = weight;
        else if (equals_ignoring_case(name, "gzip") || equals_ignoring_case(name, "x-gzip"))
            gzip = weight;
        else if (equals_ignoring_case(name, "identity"))
            identity = weight;
        else if (name == "*")
            others = weight;
    }

    [[nodiscard]] unsigned of(const std::optional<unsigned>& named) const noexcept {
        return named ? *named : others.value_or(0);
    }
};

}  // namespace

unsigned read_weight(std::string_view parameters) noexcept {
    std::string_view text = trim(parameters);
    if (text.empty()) return 1000;
    if (text.size() < 3 || to_lower(text[0]) != 'q' || text[1] != '=') return 0;
    text.remove_prefix(2);
    const char whole = text.front();
    if ((whole != '0' && whole != '1') || text.size() > 5) return 0;
    unsigned weight = whole == '1' ? 1000 : 0;
    if (text.size() > 1 && text[1] != '.') return 0;
    unsigned unit = 100;
    for (const char digit : text.substr(std::min<std::size_t>(2, text.size()))) {
        if (!is(digit_character, digit)) return 0;
        weight += static_cast<unsigned>(digit - '0') * unit;
        unit /= 10;
    }
    return weight <= 1000 ? weight : 0;
}

Coding choose_coding(const RequestHead& head, bool has_gzip, bool has_brotli) noexcept {
    if (!head.has(Field::accept_encoding)) return Coding::identity;
    Weights weights;
    for_each_value(head, Field::accept_encoding, [&weights](std::string_view list) {
        while (!list.empty()) weights.add(take_member(list));
    });
    const unsigned brotli = has_brotli ? weights.of(weights.brotli) : 0;
    const unsigned gzip = has_gzip ? weights.of(weights.gzip) : 0;
    // Unnamed, identity is acceptable, but nobody who names others asks for it.
    const unsigned identity = weights.identity.value_or(0);
    if (brotli > 0 && brotli >= gzip && brotli >= identity) return Coding::brotli;
    if (gzip > 0 && gzip >= identity) return Coding::gzip;
    return Coding::identity;
}

}  // namespace preforkd::worker::http
