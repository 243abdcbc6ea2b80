#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

// The characters of HTTP and how to scan them. Source: RFC 9110 §5.5, §5.6; RFC 3986.

namespace preforkd::worker::http {

/// What a byte may be part of; a set of bits.
enum CharacterClass : std::uint8_t {
    token_character = 1,   ///< RFC 9110 §5.6.2: method, field name, list member
    target_character = 2,  ///< request target: what browsers send, without 8-bit, space, " < > #
    host_character = 4,    ///< RFC 3986 reg-name without the comma, for "a,b" reads as two hosts,
                           ///< and without escapes
    digit_character = 8,
    hex_character = 16,
    escaped_host_character = 64,  ///< the same with the percent sign
    path_character = 32,          ///< target_character, but for the question mark
};

namespace detail {

constexpr std::array<std::uint8_t, 256> make_character_classes() {
    std::array<std::uint8_t, 256> classes{};
    const auto mark = [&classes](std::string_view characters, CharacterClass kind) {
        for (const char character : characters) {
            auto& slot = classes[static_cast<unsigned char>(character)];
            slot = static_cast<std::uint8_t>(slot | kind);
        }
    };
    constexpr std::string_view letters_and_digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    mark(letters_and_digits, token_character);
    mark("!#$%&'*+-.^_`|~", token_character);
    for (const CharacterClass host : {host_character, escaped_host_character}) {
        mark(letters_and_digits, host);
        mark("-._~!$&'()*+;=", host);
    }
    mark("%", escaped_host_character);
    mark(letters_and_digits, target_character);
    mark("!$%&'()*+,-./:;=?@[\\]^_`{|}~", target_character);
    mark(letters_and_digits, path_character);
    mark("!$%&'()*+,-./:;=@[\\]^_`{|}~", path_character);
    mark("0123456789", digit_character);
    mark("0123456789abcdefABCDEF", hex_character);
    return classes;
}

inline constexpr auto character_classes = make_character_classes();

}  // namespace detail

[[nodiscard]] constexpr bool is(CharacterClass kind, char character) noexcept {
    return (detail::character_classes[static_cast<unsigned char>(character)] & kind) != 0;
}

/// The first byte from `begin` that is not of `kind`, or `end`.
[[nodiscard]] constexpr const char* skip(CharacterClass kind, const char* begin,
                                         const char* end) noexcept {
    while (begin != end && is(kind, *begin)) ++begin;
    return begin;
}

[[nodiscard]] constexpr bool all(CharacterClass kind, std::string_view text) noexcept {
    return skip(kind, text.data(), text.data() + text.size()) == text.data() + text.size();
}

/// A byte that no field value may hold: a control other than tab. Source: RFC 9110 §5.5.
[[nodiscard]] constexpr bool is_forbidden_in_value(char character) noexcept {
    return (static_cast<unsigned char>(character) < 0x20 && character != '\t') || character == 0x7f;
}

/// The first byte from `begin` that no field value may hold (so also the CR that ends it), or
/// `end`.
[[nodiscard]] inline const char* skip_value(const char* begin, const char* end) noexcept {
#if defined(__SSE2__)
    const __m128i highest_control = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);
    for (; end - begin >= 16; begin += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin));
        // SSE2 has no unsigned comparison: min(byte, 0x1f) == byte says byte <= 0x1f.
        const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, highest_control), bytes);
        const __m128i forbidden = _mm_or_si128(
            _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control), _mm_cmpeq_epi8(bytes, del));
        const int mask = _mm_movemask_epi8(forbidden);
        if (mask != 0) return begin + __builtin_ctz(static_cast<unsigned>(mask));
    }
#endif
    while (begin != end && !is_forbidden_in_value(*begin)) ++begin;
    return begin;
}

[[nodiscard]] constexpr bool is_blank(char character) noexcept {
    return character == ' ' || character == '\t';
}

/// `text` without the spaces and tabs around it. Source: RFC 9110 §5.6.3, OWS.
[[nodiscard]] constexpr std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

[[nodiscard]] constexpr char to_lower(char character) noexcept {
    return character >= 'A' && character <= 'Z' ? static_cast<char>(character | 0x20) : character;
}

/// Whether `text` is `lower` but for the case of ASCII letters; `lower` is in lower case.
[[nodiscard]] constexpr bool equals_ignoring_case(std::string_view text,
                                                  std::string_view lower) noexcept {
    if (text.size() != lower.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (to_lower(text[i]) != lower[i]) return false;
    return true;
}

/// The same for a token of 4 bytes or more, 8 at a time. Setting the bit that tells small letters
/// from capitals makes no other byte of a token a small letter or a hyphen.
/// Requires: `text` is a token; `lower` holds small letters and hyphens alone; both are as long.
[[nodiscard]] inline bool token_equals(std::string_view text, std::string_view lower) noexcept {
    const auto differ = [&](auto word, std::size_t at) {
        auto other = word;
        std::memcpy(&word, text.data() + at, sizeof word);
        std::memcpy(&other, lower.data() + at, sizeof other);
        return (word | static_cast<decltype(word)>(0x2020202020202020)) != other;
    };
    const std::size_t size = text.size();
    if (size < 8) return !differ(std::uint32_t{}, 0) && !differ(std::uint32_t{}, size - 4);
    for (std::size_t at = 0; at + 8 < size; at += 8)
        if (differ(std::uint64_t{}, at)) return false;
    return !differ(std::uint64_t{}, size - 8);
}

/// Takes the next member, trimmed, from the front of the comma-separated `list`; members hold no
/// quoted commas. Requires: `list` not empty. Source: RFC 9110 §5.6.1.
[[nodiscard]] constexpr std::string_view take_member(std::string_view& list) noexcept {
    const std::size_t comma = list.find(',');
    const std::string_view member = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    return trim(member);
}

/// The value of one hexadecimal digit. Requires: is(hex_character, digit).
[[nodiscard]] constexpr unsigned hex_value(char digit) noexcept {
    return static_cast<unsigned>(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
}

}  // namespace preforkd::worker::http
