#include "shared/file_copies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

namespace preforkd {
namespace {

// A line "SECTION KEY NUMBER OFFSET SIZE" for each copy, an empty line, and all contents, from
// whose beginning the offsets count.

std::string_view take_until(char end, std::string_view& text) {
    const std::string_view taken = text.substr(0, text.find(end));
    text.remove_prefix(std::min(text.size(), taken.size() + 1));
    return taken;
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end;
}

bool read_line(std::string_view line, std::string_view contents, FileCopy& copy) {
    std::array<std::string_view, 5> words;
    for (std::string_view& word : words) word = take_until(' ', line);
    std::size_t offset = 0, size = 0;
    if (!line.empty() || !read_number(words[0], copy.section) ||
        !read_number(words[2], copy.number) || !read_number(words[3], offset) ||
        !read_number(words[4], size))
        return false;
    if (offset > contents.size() || size > contents.size() - offset) return false;
    copy.key = words[1];
    copy.content = contents.substr(offset, size);
    return true;
}

}  // namespace

std::string encode_copies(const std::vector<FileCopy>& copies) {
    std::string lines, contents;
    std::map<std::pair<const char*, std::size_t>, std::size_t> offsets;
    for (const FileCopy& copy : copies) {
        const auto [place, is_new] =
            offsets.try_emplace({copy.content.data(), copy.content.size()}, contents.size());
        if (is_new) contents += copy.content;
        lines += fmt::format("{} {} {} {} {}\n", copy.section, copy.key, copy.number, place->second,
                             copy.content.size());
    }
    return lines + "\n" + contents;
}

std::optional<std::vector<FileCopy>> decode_copies(std::string_view text) {
    const std::size_t end = text.starts_with('\n') ? 0 : text.find("\n\n");
    if (end == std::string_view::npos) return {};
    const std::string_view contents = text.substr(end == 0 ? 1 : end + 2);
    std::string_view lines = text.substr(0, end);
    std::vector<FileCopy> copies;
    while (!lines.empty())
        if (!read_line(take_until('\n', lines), contents, copies.emplace_back())) return {};
    return copies;
}

}  // namespace preforkd
