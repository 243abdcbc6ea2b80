#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "shared/config.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::worker {

/// The access log of one worker. Lines are gathered and written whole, many at a time: when 32 KiB
/// are there, a second after the first, and before the worker ends.
class AccessLog {
  public:
    explicit AccessLog(boost::asio::io_context& context, LogFormat format = LogFormat::combined);

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

    [[nodiscard]] std::uint64_t dropped_bytes() const noexcept { return dropped_bytes_; }

  private:
    void arm();

    LogFormat format_;
    UniqueFd file_;
    std::string gathered_;
    boost::asio::steady_timer timer_;
    bool armed_ = false;
    std::uint64_t dropped_bytes_ = 0;
};

}  // namespace preforkd::worker
