#include "shared/json_text.hpp"

#include <fmt/format.h>

#include <iterator>

namespace preforkd {

void JsonText::name(std::string_view name) {
    value(name);
    text_ += ':';
    needs_comma_ = false;
}

void JsonText::value(std::string_view text) {
    separate();
    text_ += '"';
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (byte >= 0x20 && byte < 0x7f && character != '"' && character != '\\')
            text_ += character;
        else
            fmt::format_to(std::back_inserter(text_), "\\u{:04x}", byte);
    }
    text_ += '"';
}

void JsonText::value(double number) {
    literal(fmt::format("{:.6g}", number));
}

void JsonText::open(char bracket) {
    separate();
    text_ += bracket;
    needs_comma_ = false;
}

void JsonText::close(char bracket) {
    text_ += bracket;
    needs_comma_ = true;
}

void JsonText::literal(std::string_view text) {
    separate();
    text_ += text;
}

void JsonText::separate() {
    if (needs_comma_) text_ += ',';
    needs_comma_ = true;
}

}  // namespace preforkd
