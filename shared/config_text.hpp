#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shared/config.hpp"

namespace preforkd {

/// One KEY = VALUE, from a line of the file or from the command line.
struct Entry {
    std::string key;
    std::string value;
    Origin origin;
    bool from_command_line = false;
};

/// The keys of one section; the first of a file is the one before any header.
struct Section {
    enum class Kind {
        global,
        listener,
        repeated,  ///< a second one of its name: looked at, but not used
        unknown,   ///< with a name that means nothing: its keys are not looked at
    };
    Kind kind = Kind::global;
    std::string name;  ///< "web" of [listen.web]; empty: global
    Origin origin;
    std::vector<Entry> entries;
    bool is_implied =
        false;  ///< in no file: what a program that serves one service alone listens on

    /// As in faults: "listen.web", or nothing.
    [[nodiscard]] std::string title() const { return name.empty() ? name : "listen." + name; }
};

/// Splits a file's text into sections, with a fault for each line that can't be read. `file` is
/// how faults call it. Each line goes through Boost.Program_options' parser by itself, with its
/// section's header before it, so that every key keeps its line and every fault is found.
[[nodiscard]] std::vector<Section> split_sections(std::string_view text, const std::string& file,
                                                  Faults& faults);

/// True for [a-z0-9_-]{1,32}: listeners and services are called so, also in process titles and
/// metrics.
[[nodiscard]] bool is_listener_name(std::string_view name);

/// Longest line of a file, and longest value. Unit: bytes.
inline constexpr std::size_t longest_line = 4096;
inline constexpr std::size_t longest_value = 4000;

/// Why `value` can't stand in a file, to follow "VALUE": it holds '#' or a control character, isn't
/// UTF-8, has blanks around it, is too long. Empty: it can.
[[nodiscard]] std::string unwritable(std::string_view value);

/// `text` in quotes, shortened to fit a message.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace preforkd
