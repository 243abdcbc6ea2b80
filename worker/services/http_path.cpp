#include "worker/services/http_path.hpp"

#include "worker/services/http_syntax.hpp"

namespace preforkd::worker::http {
namespace {

constexpr CleanPath refused(Status status) noexcept {
    return {status, {}, false};
}

bool is_control(char byte) noexcept {
    return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f;
}

/// Decodes one segment to the end of `into`; false when no file can have that name.
bool decode_segment(std::string_view segment, char*& into) noexcept {
    for (std::size_t i = 0; i < segment.size(); ++i) {
        char byte = segment[i];
        if (byte == '%') {
            const std::string_view digits = segment.substr(i + 1, 2);
            if (digits.size() < 2 || !all(hex_character, digits)) return false;
            byte = static_cast<char>(hex_value(digits[0]) << 4 | hex_value(digits[1]));
            if (byte == '/') return false;
            i += 2;
        }
        if (is_control(byte)) return false;
        *into++ = byte;
    }
    return true;
}

Status judge_name(std::string_view name, bool serve_dotfiles, bool is_first) noexcept {
    if (name == "." || name == ".." || !is_valid_utf8(name)) return Status::bad_request;
    const bool hidden = name.front() == '.' && !(is_first && name == ".well-known");
    return hidden && !serve_dotfiles ? Status::not_found : Status::ok;
}

struct Utf8Form {
    unsigned char first_lead, last_lead;
    unsigned char lowest_second, highest_second;
    unsigned char length;
};

// All but ASCII. Source: Unicode 15, table 3-7.
constexpr Utf8Form utf8_forms[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

bool fits(const Utf8Form& form, std::string_view text) noexcept {
    if (text.size() < form.length) return false;
    for (std::size_t i = 1; i < form.length; ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const unsigned char lowest = i == 1 ? form.lowest_second : 0x80;
        const unsigned char highest = i == 1 ? form.highest_second : 0xbf;
        if (byte < lowest || byte > highest) return false;
    }
    return true;
}

std::size_t length_of_form(unsigned char lead, std::string_view text) noexcept {
    for (const Utf8Form& form : utf8_forms)
        if (lead >= form.first_lead && lead <= form.last_lead && fits(form, text))
            return form.length;
    return 0;
}

/// Everything but letters, digits and `plain` escaped.
std::string encode(std::string_view text, std::string_view plain) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string encoded;
    for (const char byte : text) {
        const bool stays = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                           (byte >= 'A' && byte <= 'Z') ||
                           plain.find(byte) != std::string_view::npos;
        if (stays) {
            encoded += byte;
            continue;
        }
        const auto value = static_cast<unsigned char>(byte);
        encoded += {'%', digits[value >> 4], digits[value & 15]};
    }
    return encoded;
}

}  // namespace

CleanPath clean_path(std::string_view path, bool serve_dotfiles,
                     std::span<char, path_capacity> buffer) noexcept {
    char* end = buffer.data();
    bool is_first = true;
    bool ends_with_slash = false;
    while (!path.empty()) {
        path.remove_prefix(1);  // the slash
        const std::string_view segment = path.substr(0, path.find('/'));
        path.remove_prefix(segment.size());
        ends_with_slash = segment.empty();
        if (segment.empty()) continue;
        // Decoding never lengthens; one slash before and one NUL behind.
        if (segment.size() + 2 > static_cast<std::size_t>(buffer.data() + buffer.size() - end))
            return refused(Status::uri_too_long);
        if (!is_first) *end++ = '/';
        const char* const name = end;
        if (!decode_segment(segment, end)) return refused(Status::bad_request);
        const Status status =
            judge_name({name, static_cast<std::size_t>(end - name)}, serve_dotfiles, is_first);
        if (status != Status::ok) return refused(status);
        is_first = false;
    }
    *end = '\0';
    return {Status::ok,
            {buffer.data(), static_cast<std::size_t>(end - buffer.data())},
            ends_with_slash};
}

bool is_valid_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const auto lead = static_cast<unsigned char>(text.front());
        const std::size_t length = lead < 0x80 ? 1 : length_of_form(lead, text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string encode_segment(std::string_view name) {
    return encode(name, "-._~");
}

std::string folder_location(std::string_view clean, std::string_view query) {
    const std::size_t slash = clean.rfind('/');
    const std::string_view name = slash == std::string_view::npos ? clean : clean.substr(slash + 1);
    // What of a query stands for itself in a URI, and its escapes. Source: RFC 3986 §3.4.
    return "./" + encode_segment(name) + "/" + encode(query, "-._~!$&'()*+,;=:@/?%");
}

}  // namespace preforkd::worker::http
