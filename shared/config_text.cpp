#include "shared/config_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <map>
#include <optional>
#include <sstream>

#include "shared/did_you_mean.hpp"

namespace preforkd {
namespace {

namespace program_options = boost::program_options;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t";
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

bool is_control(char byte) {
    return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f;
}

/// How many bytes the UTF-8 character at the start of `text` has; 0 if it is none. Overlong forms,
/// surrogates and numbers above U+10FFFF are none. Source: RFC 3629, section 4.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                               : first >= 0xe0 && first <= 0xef ? 3
                               : first >= 0xf0 && first <= 0xf4 ? 4
                                                                : 0;
    if (length == 0 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;
    if (first == 0xed && byte(1) > 0x9f) return 0;
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return length;
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

/// Why no line of a file can be like this, or nothing. A tab is a blank.
std::string line_problem(std::string_view line) {
    if (line.size() > longest_line)
        return fmt::format("the line is longer than {} bytes", longest_line);
    const auto control =
        std::ranges::find_if(line, [](char byte) { return is_control(byte) && byte != '\t'; });
    if (control != line.end())
        return fmt::format("the line holds the control character 0x{:02x}",
                           static_cast<unsigned char>(*control));
    return is_utf8(line) ? "" : "the line is not UTF-8";
}

/// Reads a file line by line into sections.
class SectionSplitter {
  public:
    SectionSplitter(const std::string& file, Faults& faults) : file_(file), faults_(faults) {
        sections_.push_back({Section::Kind::global, {}, {file_, 0}, {}});
    }

    void take(std::string_view line) {
        ++line_;
        if (std::string problem = line_problem(line); !problem.empty())
            return report(std::move(problem));
        const std::string_view content = trimmed(line.substr(0, line.find('#')));
        if (content.empty()) return;
        if (content.starts_with('['))
            open_section(content);
        else
            add_entry(std::string(content));
    }

    std::vector<Section> take_sections() { return std::move(sections_); }

  private:
    void report(std::string what, std::string hint = {}) {
        faults_.push_back(
            {{file_, line_}, sections_.back().title(), std::move(what), std::move(hint)});
    }

    void open_section(std::string_view header) {
        constexpr std::string_view prefix = "listen.";
        sections_.push_back({Section::Kind::unknown, {}, {file_, line_}, {}});
        Section& section = sections_.back();
        if (!header.ends_with(']'))
            return report(fmt::format("{} lacks its ']'", in_quotes(header)));
        const std::string_view title = header.substr(1, header.size() - 2);
        if (!title.starts_with(prefix))
            return report(fmt::format("unknown section {}{}", in_quotes(header), intended(title)),
                          "a section is a listener and is called [listen.NAME]");
        const std::string name(title.substr(prefix.size()));
        if (!is_listener_name(name))
            return report(fmt::format("{} is not a listener's name", in_quotes(name)),
                          "it has 1 to 32 of the characters a-z, 0-9, _ and -");
        const auto [first, is_new] = first_line_.emplace(name, line_);
        if (!is_new)
            report(fmt::format("section [listen.{}] was already opened on line {}", name,
                               first->second),
                   "join the two, or give one of them another name");
        section.kind = is_new ? Section::Kind::listener : Section::Kind::repeated;
        section.name = name;
    }

    /// "; did you mean '[listen.web]'?" for [web] and [lisen.web].
    static std::string intended(std::string_view title) {
        const std::size_t dot = title.find('.');
        const std::string name(dot == std::string_view::npos ? title : title.substr(dot + 1));
        return is_listener_name(name) ? fmt::format("; did you mean '[listen.{}]'?", name) : "";
    }

    void add_entry(const std::string& content) {
        // The parser wants a stream of its own for each line; the header makes it prefix the key.
        Section& section = sections_.back();
        const std::string header = section.name.empty() ? "" : "[" + section.title() + "]\n";
        const std::size_t prefix = section.name.empty() ? 0 : section.title().size() + 1;
        std::istringstream stream(header + content);
        try {
            static const program_options::options_description any_key;
            const auto parsed = program_options::parse_config_file(stream, any_key, true);
            for (const program_options::option& option : parsed.options) {
                const std::string key = option.string_key.substr(prefix);
                if (key.empty()) return report("there is no key before the '='");
                section.entries.push_back({key, option.value.front(), {file_, line_}});
            }
        } catch (const program_options::error&) {
            report(fmt::format("{} is neither KEY = VALUE nor [listen.NAME]", in_quotes(content)),
                   content.starts_with(';') || content.starts_with("//")
                       ? "a comment starts with '#'"
                       : "");
        }
    }

    const std::string& file_;
    Faults& faults_;
    unsigned line_ = 0;
    std::vector<Section> sections_;
    std::map<std::string, unsigned> first_line_;
};

}  // namespace

bool is_listener_name(std::string_view name) {
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    return !name.empty() && name.size() <= 32 &&
           name.find_first_not_of(allowed) == std::string_view::npos;
}

std::vector<Section> split_sections(std::string_view text, const std::string& file,
                                    Faults& faults) {
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    SectionSplitter splitter(file, faults);
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        splitter.take(line);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return splitter.take_sections();
}

std::string unwritable(std::string_view value) {
    if (value.find('#') != std::string_view::npos) return "holds a '#', which begins a comment";
    if (std::ranges::any_of(value, is_control)) return "holds a control character";
    if (!is_utf8(value)) return "is not UTF-8";
    if (trimmed(value) != value) return "begins or ends with a blank";
    if (value.size() > longest_value) return fmt::format("is longer than {} bytes", longest_value);
    return {};
}

std::string in_quotes(std::string_view text) {
    constexpr std::size_t shown = 60;
    std::size_t end = std::min(text.size(), shown);
    // Not in the middle of a character.
    while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    std::string result = "'";
    for (const char byte : text.substr(0, end)) {
        if (is_control(byte))
            result += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
        else
            result += byte;
    }
    return result + (end < text.size() ? "...'" : "'");
}

}  // namespace preforkd
