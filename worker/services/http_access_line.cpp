#include "worker/services/http_access_line.hpp"

#include <fmt/format.h>

#include <iterator>

namespace preforkd::worker::http {
namespace {

/// Longer values are cut: a line must stay short enough for one write.
constexpr std::size_t longest_value = 2048;

bool is_plain(char character) noexcept {
    return character >= 0x20 && character < 0x7f && character != '"' && character != '\\';
}

/// In quotes; "-" when the field is not there.
void append_quoted(std::string& line, std::string_view value) {
    value = value.substr(0, longest_value);
    line += " \"";
    if (value.empty()) line += '-';
    while (!value.empty()) {
        std::size_t plain = 0;
        while (plain < value.size() && is_plain(value[plain])) ++plain;
        line += value.substr(0, plain);
        value.remove_prefix(plain);
        if (value.empty()) break;
        fmt::format_to(std::back_inserter(line), "\\x{:02x}",
                       static_cast<unsigned char>(value.front()));
        value.remove_prefix(1);
    }
    line += '"';
}

void append_number(std::string& line, std::uint64_t number) {
    const fmt::format_int text(number);
    line.append(text.data(), text.size());
}

}  // namespace

std::string_view AccessLines::render(std::string_view ip, const RequestHead& head, Status status,
                                     std::optional<std::uint64_t> content_size, UnixTime now) {
    if (now != second_) renew(now);
    line_ = ip;
    line_ += time_;
    append_quoted(line_, head.line);
    line_ += ' ';
    append_number(line_, code(status));
    line_ += ' ';
    if (content_size)
        append_number(line_, *content_size);
    else
        line_ += '-';
    append_quoted(line_, head.value(Field::referer));
    append_quoted(line_, head.value(Field::user_agent));
    line_ += '\n';
    return line_;
}

void AccessLines::renew(UnixTime now) {
    second_ = now;
    const DateText text = format_date(now);
    const std::string_view date = view(text);
    time_ = fmt::format(" - - [{}/{}/{}:{} +0000]", date.substr(5, 2), date.substr(8, 3),
                        date.substr(12, 4), date.substr(17, 8));
}

}  // namespace preforkd::worker::http
