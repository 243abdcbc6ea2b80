#include "shared/value_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace preforkd {
namespace {

using std::chrono::milliseconds;

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

// Largest first: render_amount takes the first that divides.
constexpr std::array<Unit, 4> time_units{{{"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 4> size_units{
    {{"g", 1u << 30}, {"m", 1u << 20}, {"k", 1u << 10}, {"", 1}}};

/// Digits and one of `units`, into `amount` of the smallest unit.
std::string parse_amount(std::string_view text, const std::array<Unit, 4>& units,
                         std::uint64_t& amount) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error == std::errc::invalid_argument) return "is not a number with a unit";
    const std::string_view name(stop, static_cast<std::size_t>(end - stop));
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [name](const Unit& known) { return known.name == name; });
    if (unit == units.end()) return name.empty() ? "has no unit" : "has an unknown unit";
    if (error != std::errc() || number > std::numeric_limits<std::int64_t>::max() / unit->factor)
        return "is out of range";
    amount = number * unit->factor;
    return {};
}

std::string render_amount(std::uint64_t amount, const std::array<Unit, 4>& units) {
    for (const Unit& unit : units)
        if (amount != 0 && amount % unit.factor == 0)
            return fmt::format("{}{}", amount / unit.factor, unit.name);
    return fmt::format("0{}", units[2].name == "s" ? "s" : "");
}

/// A name as passwd(5) can hold it: anything but what separates its fields.
std::string parse_account(std::string_view text, std::string& name) {
    if (text.find_first_of(": \t/") != std::string_view::npos) return "can't be a name";
    name = text;
    return {};
}

}  // namespace

std::string parse_value(std::string_view text, bool& value) {
    value = text == "yes" || text == "on" || text == "true";
    if (value || text == "no" || text == "off" || text == "false") return {};
    return "is neither";
}

std::string parse_value(std::string_view text, std::string& value) {
    value = text;
    return {};
}

std::string parse_value(std::string_view text, UserName& value) {
    return parse_account(text, value.value);
}

std::string parse_value(std::string_view text, GroupName& value) {
    return parse_account(text, value.value);
}

std::string parse_value(std::string_view text, ByteCount& value) {
    return parse_amount(text, size_units, value.value);
}

std::string parse_value(std::string_view text, FileMode& value) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value.bits, 8);
    if (error == std::errc::invalid_argument || stop != end) return "is not an octal number";
    return error == std::errc() ? "" : "is out of range";
}

std::string parse_value(std::string_view text, milliseconds& value) {
    std::uint64_t amount = 0;
    std::string problem = parse_amount(text, time_units, amount);
    value = milliseconds(static_cast<milliseconds::rep>(amount));
    return problem;
}

std::string render_value(bool value) {
    return value ? "yes" : "no";
}
std::string render_value(const std::string& value) {
    return value;
}
std::string render_value(const UserName& value) {
    return value.value;
}
std::string render_value(const GroupName& value) {
    return value.value;
}
std::string render_value(ByteCount value) {
    return render_amount(value.value, size_units);
}
std::string render_value(FileMode value) {
    return fmt::format("{:04o}", value.bits);
}
std::string render_value(milliseconds value) {
    return render_amount(static_cast<std::uint64_t>(value.count()), time_units);
}

std::filesystem::path absolute_path(const std::filesystem::path& path,
                                    const std::filesystem::path& base) {
    std::filesystem::path result = "/";
    for (const std::filesystem::path& part : base / path)
        if (part != "/" && part != "." && !part.empty()) result /= part;
    return result;
}

std::string either_of(const std::vector<std::string>& words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
        text += words[i];
    }
    return text;
}

std::string range_text(const std::string& zero, const std::string& min, const std::string& max) {
    const std::string range =
        max.empty() ? fmt::format("{} or more", min) : fmt::format("{} to {}", min, max);
    return zero.empty() ? range : fmt::format("'{}' or {}", zero, range);
}

std::string value_problem(std::string_view text, std::string_view problem,
                          std::string_view expected) {
    constexpr std::size_t shown = 60;
    std::size_t end = std::min(text.size(), shown);
    // Not in the middle of a UTF-8 character.
    while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return fmt::format("'{}{}' {}; expected {}", text.substr(0, end),
                       end < text.size() ? "..." : "", problem, expected);
}

}  // namespace preforkd
