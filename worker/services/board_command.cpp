#include "worker/services/board_command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "shared/exit_code.hpp"
#include "shared/syscalls.hpp"
#include "worker/services/board_protocol.hpp"
#include "worker/services/board_transfer.hpp"

namespace preforkd::worker::board {
namespace {

constexpr const char* usage =
    "usage: preforkctl board export FILE                      write it as number/poster/message "
    "lines\n"
    "       preforkctl board import [--fill-gaps[=N]] FILE    append such lines, from standard "
    "input\n"
    "       preforkctl board check FILE                       read all of it, tell what is "
    "damaged\n"
    "A FILE that begins with '-' is written ./-\n";

// One line that is written anew as work goes on, on a terminal only.
class ProgressLine {
  public:
    explicit ProgressLine(int fd) : fd_(fd), is_shown_(::isatty(fd) == 1) {}
    ~ProgressLine() { clear(); }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    void show(std::uint64_t done, std::uint64_t total) {
        if (!is_shown_) return;
        if (total > 0)
            put(fmt::format("\r{:3} % ", done * 100 / total));
        else
            put(fmt::format("\r{} ", done));
        is_dirty_ = true;
    }

    void say(const std::string& line) {
        clear();
        put(line + "\n");
    }

  private:
    void clear() {
        if (is_dirty_) put("\r\x1b[K");
        is_dirty_ = false;
    }
    void put(std::string_view text) { static_cast<void>(write_all(fd_, text)); }

    int fd_;
    bool is_shown_;
    bool is_dirty_ = false;
};

int tell_result(ProgressLine& line, const std::string& path, const Examined& result) {
    if (result.faults == 0) {
        line.say(fmt::format("{}: {} messages, all sound", path, result.messages));
        return exit_ok;
    }
    line.say(fmt::format("{}: {} sound messages, {} faults", path, result.messages, result.faults));
    return exit_failure;
}

int tell_usage(int out, int exit_code) {
    static_cast<void>(write_all(out, usage));
    return exit_code;
}

/// How many numbers in a row may be missing; none if `word` is no such option.
std::optional<std::uint64_t> gap_of(std::string_view word) {
    constexpr std::string_view option = "--fill-gaps";
    if (word == option) return usual_gap;
    if (!word.starts_with(option) || word.size() < option.size() + 2 || word[option.size()] != '=')
        return std::nullopt;
    return parse_number(word.substr(option.size() + 1));
}

int import_from(int in, const std::string& path, const ImportOptions& options, ProgressLine& line) {
    const auto result =
        import_board(path, in, options, [&line](auto done, auto total) { line.show(done, total); });
    std::string text = fmt::format("{}: {} messages imported", path, result.messages);
    if (result.placeholders > 0)
        text += fmt::format(", {} placeholders where numbers were missing", result.placeholders);
    if (result.skipped > 0) text += fmt::format(", {} were there already", result.skipped);
    line.say(text);
    return exit_ok;
}

}  // namespace

int run_board_command(std::span<const std::string> arguments, int in, int out, int messages) {
    if (std::ranges::any_of(arguments, [](auto& word) { return word == "-h" || word == "--help"; }))
        return tell_usage(out, exit_ok);
    ProgressLine line(messages);
    const auto progress = [&line](std::uint64_t done, std::uint64_t total) {
        line.show(done, total);
    };
    const auto has_word = [&arguments](const char* word, std::size_t count) {
        return arguments.size() == count && arguments[0] == word;
    };
    const std::string path = arguments.size() < 2 ? std::string() : arguments.back();
    if (path.empty() || path.starts_with('-')) return tell_usage(messages, exit_usage);
    const auto on_fault = [&line, &path](const std::string& fault) {
        line.say(path + ": " + fault);
    };
    if (has_word("export", 2))
        return tell_result(line, path, export_board(path, out, progress, on_fault));
    if (has_word("check", 2)) return tell_result(line, path, check_board(path, progress, on_fault));
    if (has_word("import", 2)) return import_from(in, path, {}, line);
    const auto gap = has_word("import", 3) ? gap_of(arguments[1]) : std::nullopt;
    if (!gap) return tell_usage(messages, exit_usage);
    return import_from(in, path, {.fill_gaps = *gap}, line);
}

}  // namespace preforkd::worker::board
