#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "shared/config.hpp"
#include "shared/log.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::worker {

/// The access log of one worker. Lines are gathered and written whole, many at a time: when 32 KiB
/// are there, a second after the first, and before the worker ends.
class AccessLog {
  public:
    explicit AccessLog(boost::asio::io_context& context, LogFormat format = LogFormat::combined);

    /// Where it is told that lines are lost, and how many were. Outlives this.
    void report_to(const Logger& logger) noexcept { logger_ = &logger; }

    /// Writes what is gathered to the old file, then goes on with `file`; empty: off.
    void redirect(UniqueFd file);

    /// Whether lines are wanted at all.
    [[nodiscard]] bool is_on() const noexcept { return file_.is_open(); }

    /// How its lines are to look; it holds whatever it is given.
    [[nodiscard]] LogFormat format() const noexcept { return format_; }

    /// Adds `line`, which ends in LF and contains no other.
    void append(std::string_view line);

    /// Writes what is gathered. What a full disk refuses is dropped and counted: requests go on.
    void flush();

    /// Lines that could not be written so far.
    [[nodiscard]] std::uint64_t lost_lines() const noexcept { return all_lost_lines_; }

  private:
    void arm();
    void lose(const std::string& why, std::uint64_t lines);
    void report_losses();

    LogFormat format_;
    UniqueFd file_;
    std::string gathered_;
    boost::asio::steady_timer timer_;
    bool armed_ = false;
    std::uint64_t all_lost_lines_ = 0;
    std::uint64_t lost_lines_ = 0;  ///< since the last one that could be written
    bool is_cut_ = false;           ///< the file ends within a line
    const Logger* logger_ = nullptr;
};

}  // namespace preforkd::worker
