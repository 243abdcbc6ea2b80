#include "worker/services/board_protocol.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace preforkd::worker::board {
namespace {

struct Word {
    std::string_view name;
    Verb verb;
    std::string_view error;  // how a reply that refuses it begins
};

constexpr std::array words{
    Word{"USER", Verb::user, "1.2 ERROR USER "},
    Word{"READ", Verb::read, "2.2 ERROR READ "},
    Word{"WRITE", Verb::write, "3.2 ERROR WRITE "},
    Word{"REPLACE", Verb::replace, "3.2 ERROR WRITE "},
    Word{"LIST", Verb::list, "2.2 ERROR LIST "},
    Word{"LAST", Verb::last, "2.2 ERROR LAST "},
    Word{"COUNT", Verb::count, "2.2 ERROR COUNT "},
    Word{"WATCH", Verb::watch, "2.2 ERROR WATCH "},
    Word{"QUIT", Verb::quit, "5.0 ERROR "},
};

constexpr std::string_view line_too_long = "the line is too long; the rest of it was thrown away";

Verb verb_of(std::string_view name) noexcept {
    const auto found = std::ranges::find(words, name, &Word::name);
    return found == words.end() ? Verb::unknown : found->verb;
}

// C0, DEL, and C1 in UTF-8 (U+0080 to U+009F are C2 80 to C2 9F): what could steer the terminal of
// whoever reads the message. Source: ECMA-48; RFC 3629 section 3.
bool has_controls(std::string_view text) noexcept {
    unsigned before = 0;
    unsigned found = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        found |= unsigned{byte < 0x20} | unsigned{byte == 0x7f} |
                 (unsigned{before == 0xc2} & unsigned{(byte & 0xe0) == 0x80});
        before = byte;
    }
    return found != 0;
}

std::string_view trimmed(std::string_view text) noexcept {
    const auto first = text.find_first_not_of(' ');
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// Takes the next word off `rest`; empty at its end.
std::string_view take_word(std::string_view& rest) noexcept {
    rest = trimmed(rest);
    const auto word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(word.size());
    return word;
}

bool are_digits(std::string_view word) noexcept {
    return !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
}

// Takes the next word off `rest` as a number; a missing one leaves `number` alone. Behind any
// message all numbers are alike.
bool take_number(std::string_view& rest, std::uint64_t& number) noexcept {
    const auto word = take_word(rest);
    if (word.empty()) return true;
    if (!are_digits(word)) return false;
    number = parse_number(word).value_or(no_number - 1);
    return true;
}

// The number of a message. One that is too high for any is only unknown.
bool parse_wanted(std::string_view word, Command& command) noexcept {
    if (!are_digits(word)) return false;
    command.number = parse_number(word).value_or(no_number);
    if (command.number == no_number) command.digits = word.substr(word.find_first_not_of('0'));
    return true;
}

void parse_user(std::string_view rest, Command& command) noexcept {
    command.text = trimmed(rest);
    command.fault = name_fault(command.text);
}

void parse_read(std::string_view rest, Command& command) noexcept {
    if (!parse_wanted(trimmed(rest), command)) command.fault = "say READ number";
}

void parse_write(std::string_view rest, Command& command) noexcept {
    command.text = rest;
    command.fault = message_fault(rest);
}

void parse_replace(std::string_view rest, Command& command) noexcept {
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos || !parse_wanted(trimmed(rest.substr(0, slash)), command)) {
        command.fault = "say REPLACE number/message";
        return;
    }
    parse_write(rest.substr(slash + 1), command);
}

void parse_list(std::string_view rest, Command& command) noexcept {
    command.number = first_number;
    if (!take_number(rest, command.number) || !take_number(rest, command.count) ||
        !take_word(rest).empty())
        command.fault = "say LIST, LIST from or LIST from count";
}

void parse_last(std::string_view rest, Command& command) noexcept {
    command.count = default_last;
    if (!take_number(rest, command.count) || !take_word(rest).empty())
        command.fault = "say LAST or LAST count";
}

void parse_watch(std::string_view rest, Command& command) noexcept {
    if (!take_number(rest, command.number) || !take_word(rest).empty())
        command.fault = "say WATCH or WATCH from";
}

void parse_arguments(std::string_view rest, Command& command) noexcept {
    switch (command.verb) {
        case Verb::user:
            return parse_user(rest, command);
        case Verb::read:
            return parse_read(rest, command);
        case Verb::write:
            return parse_write(rest, command);
        case Verb::replace:
            return parse_replace(rest, command);
        case Verb::list:
            return parse_list(rest, command);
        case Verb::last:
            return parse_last(rest, command);
        case Verb::watch:
            return parse_watch(rest, command);
        case Verb::count:
            if (!trimmed(rest).empty()) command.fault = "say COUNT alone";
            return;
        case Verb::quit:
            return;  // whatever the client says, it may leave
        case Verb::unknown:
            command.fault =
                "unknown command; there are USER READ WRITE REPLACE LIST LAST COUNT WATCH QUIT";
            return;
    }
}

void append_number(std::string& out, std::uint64_t number) {
    char digits[20];  // 2^64 has 20
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

void append_numbered(std::string& out, std::string_view words_before, std::uint64_t number) {
    out += words_before;
    append_number(out, number);
    out += '\n';
}

}  // namespace

std::optional<LineReader::Line> LineReader::next(std::string_view& received) {
    if (is_taken_) kept_.clear();
    is_taken_ = false;
    const auto end = received.find('\n');
    const bool is_whole = end != std::string_view::npos;
    const auto piece = received.substr(0, end);
    received.remove_prefix(is_whole ? end + 1 : received.size());
    if (is_whole && kept_.empty()) return line(piece);
    kept_ += piece.substr(0, max_line_ + 2 - kept_.size());
    if (!is_whole) return std::nullopt;
    is_taken_ = true;
    return line(kept_);
}

LineReader::Line LineReader::line(std::string_view text) const noexcept {
    if (text.ends_with('\r')) text.remove_suffix(1);
    return Line{.text = text.substr(0, max_line_), .is_overlong = text.size() > max_line_};
}

Command parse(std::string_view line) noexcept {
    const auto space = line.find(' ');
    Command command;
    command.verb = verb_of(line.substr(0, space));
    parse_arguments(space == std::string_view::npos ? std::string_view{} : line.substr(space + 1),
                    command);
    return command;
}

Command parse(const LineReader::Line& line) noexcept {
    if (!line.is_overlong) return parse(line.text);
    Command command;
    command.verb = verb_of(line.text.substr(0, line.text.find(' ')));
    if (command.verb != Verb::quit) command.fault = line_too_long;
    return command;
}

std::string_view name_fault(std::string_view name) noexcept {
    if (name.empty()) return "say USER name";
    if (name.size() > max_name) return "a name has at most 64 bytes";
    if (name.find('/') != std::string_view::npos) return "a name has no /";
    if (has_controls(name)) return "a name has no control characters";
    return {};
}

std::string_view message_fault(std::string_view message) noexcept {
    if (message.empty()) return "the message is empty";
    if (has_controls(message)) return "a message has no control characters";
    return {};
}

std::optional<std::uint64_t> parse_number(std::string_view digits) noexcept {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc{} || end != digits.data() + digits.size() || number == no_number)
        return std::nullopt;
    return number;
}

void append_greeting(std::string& out) {
    out += "0.0 bulletin board ready: USER READ WRITE REPLACE LIST LAST COUNT WATCH QUIT\n";
}

void append_hello(std::string& out, std::string_view name) {
    out += "1.0 HELLO ";
    out += name;
    out += " your messages will bear this name\n";
}

void append_message(std::string& out, std::uint64_t number, std::string_view text) {
    out += "2.0 MESSAGE ";
    append_number(out, number);
    out += ' ';
    out += text;
    out += '\n';
}

void append_unknown(std::string& out, Verb verb, std::uint64_t number) {
    char digits[20];  // 2^64 has 20
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    append_unknown(out, verb, std::string_view(digits, end));
}

void append_unknown(std::string& out, Verb verb, std::string_view digits) {
    out += verb == Verb::replace ? "3.1 UNKNOWN " : "2.1 UNKNOWN ";
    out += digits;
    out += " no message has this number\n";
}

void append_wrote(std::string& out, std::uint64_t number) {
    append_numbered(out, "3.0 WROTE ", number);
}

void append_end(std::string& out, std::uint64_t count) {
    append_numbered(out, "2.3 END ", count);
}

void append_count(std::string& out, std::uint64_t count) {
    append_numbered(out, "2.4 COUNT ", count);
}

void append_bye(std::string& out, std::string_view text) {
    out += "4.0 BYE ";
    out += text;
    out += '\n';
}

void append_error(std::string& out, Verb verb, std::string_view reason) {
    const auto found = std::ranges::find(words, verb, &Word::verb);
    out += found == words.end() ? std::string_view("5.0 ERROR ") : found->error;
    out += reason;
    out += '\n';
}

}  // namespace preforkd::worker::board
