#include "worker/services/http_access_line.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <iterator>

namespace preforkd::worker::http {
namespace {

/// Longer values are cut: a line must stay short enough for one write.
constexpr std::size_t longest_value = 2048;

bool is_plain(char character) noexcept {
    return character >= 0x20 && character < 0x7f && character != '"' && character != '\\';
}

/// In quotes, with `escape` and two hexadecimal digits for each byte that is not plain.
void append_escaped(std::string& line, std::string_view value, std::string_view escape) {
    value = value.substr(0, longest_value);
    line += '"';
    while (!value.empty()) {
        std::size_t plain = 0;
        while (plain < value.size() && is_plain(value[plain])) ++plain;
        line += value.substr(0, plain);
        value.remove_prefix(plain);
        if (value.empty()) break;
        fmt::format_to(std::back_inserter(line), "{}{:02x}", escape,
                       static_cast<unsigned char>(value.front()));
        value.remove_prefix(1);
    }
    line += '"';
}

/// In quotes; "-" when the field is not there.
void append_quoted(std::string& line, std::string_view value) {
    line += ' ';
    append_escaped(line, value.empty() ? "-" : value, "\\x");
}

/// ,"KEY":"VALUE"; null when the field is not there.
void append_member(std::string& line, std::string_view key, std::string_view value) {
    line += ",\"";
    line += key;
    line += "\":";
    if (value.empty())
        line += "null";
    else
        append_escaped(line, value, "\\u00");
}

void append_number(std::string& line, std::uint64_t number) {
    const fmt::format_int text(number);
    line.append(text.data(), text.size());
}

}  // namespace

AccessLines::AccessLines(LogFormat format, std::string_view listener) : format_(format) {
    append_member(listener_, "listener", listener);
}

std::string_view AccessLines::render(std::string_view ip, const RequestHead& head, Status status,
                                     Size content_size, UnixTime now) {
    if (now != second_) renew(now);
    if (format_ == LogFormat::json)
        render_json(ip, head, status, content_size);
    else
        render_combined(ip, head, status, content_size);
    return line_;
}

void AccessLines::render_combined(std::string_view ip, const RequestHead& head, Status status,
                                  Size size) {
    line_ = ip;
    line_ += time_;
    append_quoted(line_, head.line);
    line_ += ' ';
    append_number(line_, code(status));
    line_ += ' ';
    if (size)
        append_number(line_, *size);
    else
        line_ += '-';
    append_quoted(line_, head.value(Field::referer));
    append_quoted(line_, head.value(Field::user_agent));
    line_ += '\n';
}

void AccessLines::render_json(std::string_view ip, const RequestHead& head, Status status,
                              Size size) {
    line_ = time_;
    line_ += listener_;
    append_member(line_, "client", ip);
    append_member(line_, "host", head.host);
    append_member(line_, "method", head.method_text);
    append_member(line_, "target", head.target);
    append_member(line_, "request", head.line);
    line_ += ",\"status\":";
    append_number(line_, code(status));
    line_ += ",\"bytes\":";
    if (size)
        append_number(line_, *size);
    else
        line_ += "null";
    append_member(line_, "referer", head.value(Field::referer));
    append_member(line_, "user_agent", head.value(Field::user_agent));
    line_ += "}\n";
}

void AccessLines::renew(UnixTime now) {
    second_ = now;
    if (format_ == LogFormat::json) {
        time_ = fmt::format("{{\"time\":\"{:%FT%TZ}\"", fmt::gmtime(now));
        return;
    }
    const DateText text = format_date(now);
    const std::string_view date = view(text);
    time_ = fmt::format(" - - [{}/{}/{}:{} +0000]", date.substr(5, 2), date.substr(8, 3),
                        date.substr(12, 4), date.substr(17, 8));
}

}  // namespace preforkd::worker::http
