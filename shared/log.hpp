#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "shared/log_level.hpp"

namespace preforkd {

[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;

/// How a line is dressed for where it goes.
enum class LogStyle {
    plain,    ///< time, level, pid, event: a file or a terminal
    journal,  ///< `<N>` before level, pid, event: systemd's journal stamps the time. sd-daemon(3)
    syslog,   ///< one datagram for /dev/log, RFC 3164 as syslog(3) sends it
};

/// One `key=value` of a line.
struct LogField {
    std::string_view key;
    std::string value;

    LogField(std::string_view field_key, std::string_view text) : key(field_key), value(text) {}
    LogField(std::string_view field_key, const char* text) : key(field_key), value(text) {}
    LogField(std::string_view field_key, std::string text)
        : key(field_key), value(std::move(text)) {}
    template <class Number>
    requires std::is_arithmetic_v<Number> LogField(std::string_view field_key, Number number)
        : key(field_key), value(fmt::to_string(number)) {}
};

/// Writes one line per event with one write(2), so that processes that share a file never mix.
/// A line is always one line: in the values of fields control bytes, quotes and backslashes are
/// escaped as \xNN, \" and \\; in the event line feeds become spaces and control bytes \xNN.
/// An event that can't be written at once is dropped: neither disk nor reader must stop a server.
class Logger {
  public:
    /// `descriptor` stays the caller's; it may be reopened under the same number.
    Logger(int descriptor, LogStyle style, LogLevel threshold, std::string program)
        : descriptor_(descriptor),
          style_(style),
          threshold_(threshold),
          program_(std::move(program)) {}

    using Fields = std::initializer_list<LogField>;
    void log(LogLevel level, std::string_view event, Fields fields = {}) const;
    void debug(std::string_view event, Fields fields = {}) const {
        log(LogLevel::debug, event, fields);
    }
    void info(std::string_view event, Fields fields = {}) const {
        log(LogLevel::info, event, fields);
    }
    void notice(std::string_view event, Fields fields = {}) const {
        log(LogLevel::notice, event, fields);
    }
    void warning(std::string_view event, Fields fields = {}) const {
        log(LogLevel::warning, event, fields);
    }
    void error(std::string_view event, Fields fields = {}) const {
        log(LogLevel::error, event, fields);
    }

    void set_threshold(LogLevel threshold) noexcept { threshold_ = threshold; }
    void redirect(int descriptor, LogStyle style) noexcept {
        descriptor_ = descriptor;
        style_ = style;
    }

  private:
    int descriptor_;
    LogStyle style_;
    LogLevel threshold_;
    std::string program_;
};

/// `text` with what could end a line or a quoted value or command a terminal escaped; what stays is
/// 0x20-0x7e and UTF-8 without U+0080-U+009f. At most `limit` bytes of `text` are used.
[[nodiscard]] std::string escape_for_log(std::string_view text, std::size_t limit = 2048);

/// Lines of this process that could not be written so far, whatever log they were for.
[[nodiscard]] std::uint64_t lost_log_lines() noexcept;

/// The style that suits standard error: `journal` when systemd says that it is its journal.
/// Source: systemd.exec(5), $JOURNAL_STREAM.
[[nodiscard]] LogStyle style_of_stderr();

}  // namespace preforkd
