#include "bench/load/board_reply.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace preforkd::bench {
namespace {

constexpr std::size_t line_limit = 1024 * 1024;

std::string code_for(std::string_view verb) {
    if (verb == "READ") return "2.0";
    if (verb == "WRITE" || verb == "REPLACE") return "3.0";
    if (verb == "LIST" || verb == "LAST") return "2.3";
    if (verb == "COUNT") return "2.4";
    return "1.0";
}

bool is_code(std::string_view line) {
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return line.size() >= 4 && digit(line[0]) && line[1] == '.' && digit(line[2]) && line[3] == ' ';
}

/// Whether `2.0 MESSAGE 17 poster/text` is about message `number`.
bool is_message(std::string_view line, std::uint64_t number) {
    constexpr std::string_view head = "2.0 MESSAGE ";
    if (!line.starts_with(head)) return false;
    line.remove_prefix(head.size());
    std::uint64_t named = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), named);
    return error == std::errc() && named == number && end != line.data() + line.size() &&
           *end == ' ';
}

}  // namespace

BoardReplyReader::BoardReplyReader(std::string_view command)
    : right_code_(code_for(command.substr(0, command.find_first_of(" \n")))),
      names_number_(command.starts_with("READ {n}")),
      is_list_(command.starts_with("LIST") || command.starts_with("LAST")) {}

std::size_t BoardReplyReader::read(std::string_view bytes, std::uint64_t number,
                                   std::optional<Reply>& reply) {
    std::size_t used = 0;
    while (!reply && used < bytes.size()) {
        const std::string_view rest = bytes.substr(used);
        const std::size_t end = rest.find('\n');
        if (end == rest.npos) {
            partial_ += rest;
            if (partial_.size() > line_limit) reply = Reply{Failure::wrong_content, true, 0};
            return bytes.size();
        }
        used += end + 1;
        if (partial_.empty()) {
            take_line(rest.substr(0, end), number, reply);
        } else {
            partial_ += rest.substr(0, end);
            take_line(std::exchange(partial_, {}), number, reply);
        }
    }
    return used;
}

void BoardReplyReader::take_line(std::string_view line, std::uint64_t number,
                                 std::optional<Reply>& reply) {
    if (is_list_ && greeted_ && line.starts_with("2.0 ")) {
        in_list_ = true;
        return;
    }
    in_list_ = false;
    Reply result;
    if (!is_code(line)) {
        result = {Failure::bad_status, true, 0};
    } else if (is_farewell(line)) {
        result = {Failure::end_of_stream, true, 0};  // it left without answering
    } else if (line.substr(0, 3) != (greeted_ ? std::string_view(right_code_) : "0.0")) {
        result.failure = Failure::bad_status;
    } else if (greeted_ && names_number_ && !is_message(line, number)) {
        result.failure = Failure::wrong_content;
    }
    greeted_ = true;
    reply = result;
}

void BoardReplyReader::restart() {
    greeted_ = false;
    in_list_ = false;
    partial_.clear();
}

}  // namespace preforkd::bench
