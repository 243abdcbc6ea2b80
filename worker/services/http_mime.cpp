#include "worker/services/http_mime.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "worker/services/http_syntax.hpp"

namespace preforkd::worker::http {
namespace {

constexpr std::string_view built_in = R"(
application/gzip gz
application/json json map
application/ld+json jsonld
application/manifest+json webmanifest
application/pdf pdf
application/wasm wasm
application/xhtml+xml xhtml
application/xml xml xsl
application/zip zip
application/atom+xml atom
application/rss+xml rss
application/x-7z-compressed 7z
application/x-bzip2 bz2
application/x-tar tar
application/x-xz xz
application/zstd zst
application/epub+zip epub
audio/flac flac
audio/mpeg mp3
audio/mp4 m4a
audio/ogg oga ogg opus
audio/wav wav
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/avif avif
image/bmp bmp
image/gif gif
image/jpeg jpeg jpg
image/png png
image/svg+xml svg
image/tiff tif tiff
image/vnd.microsoft.icon ico
image/webp webp
text/calendar ics
text/css css
text/csv csv
text/html htm html
text/javascript js mjs
text/markdown markdown md
text/plain conf log text txt
text/vtt vtt
video/mp4 m4v mp4
video/mpeg mpeg mpg
video/ogg ogv
video/quicktime mov
video/webm webm
video/x-matroska mkv
)";

std::string_view take_line(std::string_view& text) noexcept {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line.substr(0, line.find('#'));
}

std::string_view take_word(std::string_view& line) noexcept {
    constexpr std::string_view blanks = " \t\r\v\f";
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(blanks)));
    const std::string_view word = line.substr(0, line.find_first_of(blanks));
    line.remove_prefix(word.size());
    return word;
}

bool is_media_type(std::string_view type) noexcept {
    const std::size_t slash = type.find('/');
    return slash != std::string_view::npos && slash > 0 && slash + 1 < type.size() &&
           all(token_character, type.substr(0, slash)) &&
           all(token_character, type.substr(slash + 1));
}

bool is_extension(std::string_view word) noexcept {
    return word.front() != '.' && std::ranges::all_of(word, [](char character) {
               return is(token_character, character) ||
                      static_cast<unsigned char>(character) >= 0x80;
           });
}

/// The beginning of a word, fit for a message.
std::string shown(std::string_view word) {
    constexpr std::size_t longest = 40;
    std::string text;
    for (const char character : word.substr(0, longest))
        text += character >= ' ' && character <= '~' ? character : '?';
    return word.size() > longest ? text + "..." : text;
}

/// XML says itself what it is encoded in, and this parameter would overrule it. RFC 7303 §3.
bool wants_charset(std::string_view type) noexcept {
    return (type.substr(0, 5) == "text/" && type != "text/xml") || type == "application/javascript";
}

std::string lower(std::string_view text) {
    std::string lowered(text);
    for (char& character : lowered) character = to_lower(character);
    return lowered;
}

}  // namespace

MimeTypes::MimeTypes() {
    add(built_in);
}

void MimeTypes::add(std::string_view text) {
    while (!text.empty()) {
        std::string_view line = take_line(text);
        const std::string type = lower(take_word(line));
        if (!is_media_type(type)) continue;
        for (std::string_view word = take_word(line); !word.empty(); word = take_word(line))
            set(word, type);
    }
}

void MimeTypes::set(std::string_view extension, std::string_view type) {
    std::string value(type);
    if (wants_charset(type)) value += "; charset=utf-8";
    types_.insert_or_assign(lower(extension), std::move(value));
}

ContentProblem check_types(std::string_view text) {
    constexpr std::string_view expected = "expected: TYPE/SUBTYPE EXTENSION...";
    for (unsigned number = 1; !text.empty(); ++number) {
        std::string_view line = take_line(text);
        const std::string_view type = take_word(line);
        if (type.empty()) continue;
        if (!is_media_type(type))
            return {number, fmt::format("'{}' is not a type; {}", shown(type), expected)};
        for (std::string_view word = take_word(line); !word.empty(); word = take_word(line))
            if (!is_extension(word))
                return {number, fmt::format("'{}' is not an extension; {}", shown(word), expected)};
    }
    return {};
}

std::string_view MimeTypes::type_of(std::string_view path) const {
    constexpr std::string_view unknown = "application/octet-stream";
    const std::string_view name = path.substr(path.rfind('/') + 1);
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) return unknown;
    const auto found = types_.find(lower(name.substr(dot + 1)));
    return found == types_.end() ? unknown : std::string_view(found->second);
}

}  // namespace preforkd::worker::http
