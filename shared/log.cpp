#include "shared/log.hpp"

#include <fmt/chrono.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>

namespace preforkd {
namespace {

int syslog_priority(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::debug:
            return LOG_DEBUG;
        case LogLevel::info:
            return LOG_INFO;
        case LogLevel::notice:
            return LOG_NOTICE;
        case LogLevel::warning:
            return LOG_WARNING;
        case LogLevel::error:
            return LOG_ERR;
    }
    return LOG_ERR;
}

std::string utc_time() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(now.tv_sec), now.tv_nsec / 1'000'000);
}

std::string prefix(LogStyle style, LogLevel level, const std::string& program) {
    switch (style) {
        case LogStyle::plain:
            return fmt::format("{} {} {} ", utc_time(), to_string(level), ::getpid());
        case LogStyle::journal:
            return fmt::format("<{}>{} {} ", syslog_priority(level), to_string(level), ::getpid());
        case LogStyle::syslog: {
            const std::time_t now = std::time(nullptr);
            return fmt::format("<{}>{:%b %e %T} {}[{}]: {} ", LOG_DAEMON | syslog_priority(level),
                               fmt::localtime(now), program, ::getpid(), to_string(level));
        }
    }
    return {};
}

// Of this process, whatever logs it has: what a full disk or pipe refused since the last line that
// could be written, and whether the file ends within a line.
std::atomic<std::uint64_t> lost_lines{0};
std::atomic<std::uint64_t> all_lost_lines{0};
std::atomic<bool> is_cut{false};

/// Whether a write doesn't wait for whoever reads it: a caller's pipe or socket may be one that
/// does. A poll that fails is no reason to lose a line.
bool has_room(int descriptor) noexcept {
    pollfd log{descriptor, POLLOUT, 0};
    return ::poll(&log, 1, 0) != 0;
}

bool is_pipe(int descriptor) noexcept {
    struct stat status {};
    return ::fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode);
}

/// One write: O_APPEND then keeps lines whole. To a pipe no more at once than goes into it as one
/// piece, for which alone it says that it has room. Source: pipe(7), PIPE_BUF.
std::size_t write_at_once(int descriptor, std::string_view text) noexcept {
    const std::size_t most = text.size() > PIPE_BUF && is_pipe(descriptor) ? PIPE_BUF : text.size();
    std::size_t written = 0;
    while (written < text.size() && has_room(descriptor)) {
        const std::string_view piece = text.substr(written, most);
        const ssize_t size = ::write(descriptor, piece.data(), piece.size());
        if (size > 0) written += static_cast<std::size_t>(size);
        if (size != static_cast<ssize_t>(piece.size())) break;
    }
    return written;
}

bool write_line(int descriptor, std::string line) {
    const bool was_cut = is_cut.exchange(false);
    if (was_cut) line.insert(0, 1, '\n');
    const std::size_t written = write_at_once(descriptor, line);
    if (written == line.size()) return true;
    is_cut = was_cut || written > 0;
    return false;
}

/// How many bytes the control character has that `text` begins with, 0 if it begins with none.
/// Those from U+0080 to U+009f are controls as well, U+009b begins a terminal's commands. ECMA-48
std::size_t control_size(std::string_view text) noexcept {
    const auto at = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    if (at(0) < 0x20 || at(0) == 0x7f) return 1;
    return text.size() > 1 && at(0) == 0xc2 && at(1) >= 0x80 && at(1) <= 0x9f ? 2 : 0;
}

std::string in_hexadecimal(std::string_view bytes) {
    std::string text;
    for (const char byte : bytes)
        text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    return text;
}

bool needs_quotes(std::string_view value) noexcept {
    return value.empty() || value.find_first_of(" =\"\\") != std::string_view::npos;
}

}  // namespace

std::string_view to_string(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::debug:
            return "debug";
        case LogLevel::info:
            return "info";
        case LogLevel::notice:
            return "notice";
        case LogLevel::warning:
            return "warning";
        case LogLevel::error:
            return "error";
    }
    return "error";
}

std::string escape_for_log(std::string_view text, std::size_t limit) {
    text = text.substr(0, limit);
    std::string escaped;
    for (std::size_t size = 0; !text.empty(); text.remove_prefix(size)) {
        size = std::max<std::size_t>(control_size(text), 1);
        const char character = text.front();
        if (control_size(text) > 0)
            escaped += in_hexadecimal(text.substr(0, size));
        else if (character == '"' || character == '\\')
            (escaped += '\\') += character;
        else
            escaped += character;
    }
    return escaped;
}

void Logger::log(LogLevel level, std::string_view event, Fields fields) const {
    if (level < threshold_ || descriptor_ < 0) return;
    std::string line = prefix(style_, level, program_);
    // The event is a sentence, so its quotes are wanted; what breaks a line or a terminal is not.
    for (std::size_t size = 0; !event.empty(); event.remove_prefix(size)) {
        size = std::max<std::size_t>(control_size(event), 1);
        if (event.front() == '\n')
            line += ' ';
        else if (control_size(event) > 0)
            line += in_hexadecimal(event.substr(0, size));
        else
            line += event.front();
    }
    for (const LogField& field : fields) {
        const std::string value = escape_for_log(field.value);
        const std::string_view quote = needs_quotes(field.value) ? "\"" : "";
        line += fmt::format(" {}={}{}{}", field.key, quote, value, quote);
    }
    if (style_ != LogStyle::syslog) line += '\n';
    if (const std::uint64_t lost = lost_lines.exchange(0); lost > 0) {
        std::string loss = prefix(style_, LogLevel::warning, program_) +
                           fmt::format("log lines were lost count={}", lost);
        if (style_ != LogStyle::syslog) loss += '\n';
        if (!write_line(descriptor_, std::move(loss))) lost_lines += lost;
    }
    if (write_line(descriptor_, std::move(line))) return;
    ++lost_lines;
    ++all_lost_lines;
}

std::uint64_t lost_log_lines() noexcept {
    return all_lost_lines;
}

LogStyle style_of_stderr() {
    const char* const stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &status) < 0) return LogStyle::plain;
    const auto ours = fmt::format("{}:{}", status.st_dev, status.st_ino);
    return ours == stream ? LogStyle::journal : LogStyle::plain;
}

}  // namespace preforkd
