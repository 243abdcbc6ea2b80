#pragma once

#include <sys/types.h>

#include <charconv>
#include <chrono>
#include <compare>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

// What a configuration key's value can be, and how it is written.

namespace preforkd {

/// An amount of memory or data. Unit: bytes. Written as 4096, 64k, 8m, 1g (powers of 1024).
struct ByteCount {
    std::uint64_t value = 0;
    auto operator<=>(const ByteCount&) const = default;
};

/// Permission bits, written in octal. Range: [0, 0777].
struct FileMode {
    mode_t bits = 0;
    auto operator<=>(const FileMode&) const = default;
};

/// An account of this machine, by name. Empty: not chosen.
struct UserName {
    std::string value;
    auto operator<=>(const UserName&) const = default;
};

/// A group of this machine, by name. Empty: not chosen.
struct GroupName {
    std::string value;
    auto operator<=>(const GroupName&) const = default;
};

template <class T>
inline constexpr bool is_duration = false;
template <class Rep, class Period>
inline constexpr bool is_duration<std::chrono::duration<Rep, Period>> = true;

/// A duration that has no fractions of a second.
template <class T>
inline constexpr bool in_whole_seconds = false;
template <class Rep>
inline constexpr bool in_whole_seconds<std::chrono::duration<Rep>> = true;

/// What has a smallest and a largest value.
template <class T>
concept Ranged = (std::integral<T> && !std::same_as<T, bool>) ||
                 is_duration<T> || std::same_as<T, ByteCount> || std::same_as<T, FileMode>;

template <Ranged T>
constexpr T largest() {
    if constexpr (std::integral<T>) return std::numeric_limits<T>::max();
    if constexpr (is_duration<T>) return T::max();
    if constexpr (std::same_as<T, ByteCount>) return {std::numeric_limits<std::uint64_t>::max()};
    if constexpr (std::same_as<T, FileMode>) return {0777};
}

// A parse function returns what is wrong, to stand after the quoted text ("is not a number"), or
// nothing; it has then set `value`. The render function gives the canonical text, which parses
// back to an equal value.

[[nodiscard]] std::string parse_value(std::string_view text, bool& value);
[[nodiscard]] std::string parse_value(std::string_view text, std::string& value);
[[nodiscard]] std::string parse_value(std::string_view text, UserName& value);
[[nodiscard]] std::string parse_value(std::string_view text, GroupName& value);
[[nodiscard]] std::string parse_value(std::string_view text, ByteCount& value);
[[nodiscard]] std::string parse_value(std::string_view text, FileMode& value);
[[nodiscard]] std::string parse_value(std::string_view text, std::chrono::milliseconds& value);

[[nodiscard]] std::string render_value(bool value);
[[nodiscard]] std::string render_value(const std::string& value);
[[nodiscard]] std::string render_value(const UserName& value);
[[nodiscard]] std::string render_value(const GroupName& value);
[[nodiscard]] std::string render_value(ByteCount value);
[[nodiscard]] std::string render_value(FileMode value);
[[nodiscard]] std::string render_value(std::chrono::milliseconds value);

template <std::integral T>
requires(!std::same_as<T, bool>) [[nodiscard]] std::string
    parse_value(std::string_view text, T& value) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc::result_out_of_range && stop == end) return "is out of range";
    if (error != std::errc() || stop != end) return "is not a number";
    return {};
}

template <std::integral T>
requires(!std::same_as<T, bool>) [[nodiscard]] std::string render_value(T value) {
    return std::to_string(value);
}

template <class T>
requires is_duration<T>
[[nodiscard]] std::string parse_value(std::string_view text, T& value) {
    static_assert(std::ratio_greater_equal_v<typename T::period, std::milli>);
    std::chrono::milliseconds exact{};
    if (std::string problem = parse_value(text, exact); !problem.empty()) return problem;
    value = std::chrono::duration_cast<T>(exact);
    if (value == exact) return {};
    return in_whole_seconds<T> ? "is not a whole number of seconds" : "is too fine";
}

template <class T>
requires is_duration<T>
[[nodiscard]] std::string render_value(T value) {
    return render_value(std::chrono::duration_cast<std::chrono::milliseconds>(value));
}

/// `path` below `base` unless absolute, without "." and doubled slashes. ".." stays: what it names
/// depends on symbolic links, which only the kernel can follow.
[[nodiscard]] std::filesystem::path absolute_path(const std::filesystem::path& path,
                                                  const std::filesystem::path& base);

/// "a, b or c".
[[nodiscard]] std::string either_of(const std::vector<std::string>& words);

/// "'auto' or 1 to 1024", of canonical texts; no `max` means no upper limit.
[[nodiscard]] std::string range_text(const std::string& zero, const std::string& min,
                                     const std::string& max);

/// "'2h' is out of range; expected 1s to 1h"; a long text is shortened.
[[nodiscard]] std::string value_problem(std::string_view text, std::string_view problem,
                                        std::string_view expected);

}  // namespace preforkd
