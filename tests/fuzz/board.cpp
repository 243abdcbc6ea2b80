#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "worker/services/board_protocol.hpp"

// The board's parser under any bytes, in any pieces: the first byte says how long the pieces are.
// What must hold: pieces make no difference, a line is never longer than promised, a command that
// is taken holds nothing that could break a reply's line or a stored record.

using namespace preforkd::worker::board;

namespace {

constexpr std::size_t max_line = 64;

void require(bool holds) {
    if (!holds) std::abort();
}

bool is_one_line(std::string_view text) {
    return text.find('\n') == std::string_view::npos && text.find('\0') == std::string_view::npos;
}

void check(const Command& command) {
    if (!command.fault.empty()) {
        std::string reply;
        append_error(reply, command.verb, command.fault);
        require(reply.find('\n') == reply.size() - 1);
        return;
    }
    if (command.verb == Verb::user)
        require(name_fault(command.text).empty() && is_one_line(command.text) &&
                command.text.find('/') == std::string_view::npos);
    if (command.verb == Verb::write || command.verb == Verb::replace)
        require(!command.text.empty() && is_one_line(command.text));
    if (command.verb == Verb::read || command.verb == Verb::replace)
        require(command.number != no_number ||
                (!command.digits.empty() &&
                 command.digits.find_first_not_of("0123456789") == std::string_view::npos));
    require(command.verb != Verb::unknown);
}

std::vector<std::string> lines_of(std::string_view bytes, std::size_t piece_length) {
    LineReader reader(max_line);
    std::vector<std::string> lines;
    while (!bytes.empty()) {
        std::string_view piece = bytes.substr(0, piece_length);
        bytes.remove_prefix(piece.size());
        while (const auto line = reader.next(piece)) {
            require(line->text.size() <= max_line);
            check(parse(*line));
            lines.emplace_back(std::string(line->text) + (line->is_overlong ? '+' : '.'));
        }
        require(piece.empty());
    }
    return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    require(lines_of(bytes, std::size_t{1} + data[0]) == lines_of(bytes, bytes.size() + 1));
    return 0;
}
