#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

// The bulletin board's language: lines in, commands out, replies back. Pure; knows neither sockets
// nor storage.

namespace preforkd::worker::board {

/// What a board's first message is called; every further one is one more.
inline constexpr std::uint64_t first_number = 0;
/// The longest poster's name. Unit: bytes.
inline constexpr std::size_t max_name = 64;
/// Who writes before having said USER.
inline constexpr std::string_view anonymous = "nobody";
/// As many as LAST lists when it isn't told, like tail(1).
inline constexpr std::uint64_t default_last = 10;

/// Cuts a client's bytes into lines, in whatever pieces they arrive. Lines end in LF or CRLF.
class LineReader {
  public:
    /// `max_line`: the longest line taken, without its end. Unit: bytes.
    explicit LineReader(std::size_t max_line) : max_line_(max_line) {}

    struct Line {
        std::string_view text;     ///< without its end; at most max_line bytes
        bool is_overlong = false;  ///< `text` is only the beginning, the rest was thrown away
    };

    /// Takes the next whole line off the front of `received`. None: `received` is used up, and the
    /// beginning of an unfinished line is kept for the next call.
    /// The text lives until the next call, and no longer than the bytes of `received`.
    [[nodiscard]] std::optional<Line> next(std::string_view& received);

    /// Is nothing kept of a line that has begun?
    [[nodiscard]] bool is_between_lines() const noexcept { return is_taken_ || kept_.empty(); }

  private:
    [[nodiscard]] Line line(std::string_view text) const noexcept;

    std::size_t max_line_;
    std::string kept_;  // at most max_line_ + 2 bytes: enough to tell CRLF from one too many
    bool is_taken_ = false;
};

enum class Verb : std::uint8_t {
    user,
    read,
    write,
    replace,
    list,
    last,
    count,
    watch,
    quit,
    unknown,
};

/// Stands for a bound that the client left out.
inline constexpr std::uint64_t no_number = std::numeric_limits<std::uint64_t>::max();

struct Command {
    Verb verb = Verb::unknown;
    std::string_view text;             ///< USER: the name; WRITE and REPLACE: the message
    std::uint64_t number = no_number;  ///< READ, REPLACE; LIST and WATCH: the first one to show
    std::string_view digits;           ///< READ, REPLACE: the number, if it is no_number or higher
    std::uint64_t count = no_number;   ///< LIST and LAST: at most so many
    std::string_view fault;            ///< what is wrong with it; empty: nothing
};

/// Reads one line. The result's texts point into it, or at constants.
[[nodiscard]] Command parse(std::string_view line) noexcept;

/// As parse() of a line that was too long: the verb, and the fault.
[[nodiscard]] Command parse(const LineReader::Line& line) noexcept;

/// What is wrong with a poster's name (empty, too long, `/`, controls), or nothing.
[[nodiscard]] std::string_view name_fault(std::string_view name) noexcept;

/// What is wrong with a message (empty, controls), or nothing.
[[nodiscard]] std::string_view message_fault(std::string_view message) noexcept;

/// Reads a whole decimal number of digits only. None: it is anything else, or 2^64 - 1 or more.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view digits) noexcept;

// Replies, each one line ending in LF, appended to `out`. Texts given must be free of controls.
void append_greeting(std::string& out);
void append_hello(std::string& out, std::string_view name);
/// `text` is `poster/message`.
void append_message(std::string& out, std::uint64_t number, std::string_view text);
/// To a READ or REPLACE of a number that no message has.
void append_unknown(std::string& out, Verb verb, std::uint64_t number);
void append_unknown(std::string& out, Verb verb, std::string_view digits);
void append_wrote(std::string& out, std::uint64_t number);
void append_end(std::string& out, std::uint64_t count);
void append_count(std::string& out, std::uint64_t count);
void append_bye(std::string& out, std::string_view text);
/// `reason`: what is wrong and what to do.
void append_error(std::string& out, Verb verb, std::string_view reason);

}  // namespace preforkd::worker::board
