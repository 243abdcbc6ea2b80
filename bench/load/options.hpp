#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd::bench {

using std::chrono::nanoseconds;

/// What a person typed that can't be meant; its text says what and where.
class UsageError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class ProtocolName { http, echo, board, redis, raw };

/// SCHEME://HOST[:PORT][/PATH]. IPv6 addresses stand in brackets. Default ports: 80 for http, 7 for
/// echo, 9000 for board, 6379 for redis.
struct Url {
    std::string text;
    ProtocolName protocol = ProtocolName::http;
    std::string host;
    std::string port;
    std::string path;
};

/// Throws UsageError. Source: RFC 3986 §3.
[[nodiscard]] Url parse_url(std::string_view text);

/// A number with a unit: us, ms, s, m or h; s when none. Throws UsageError when it is anything
/// else.
[[nodiscard]] nanoseconds parse_duration(std::string_view text);

/// Signals sent to one process during the measured time, the named ones in turn.
struct Storm {
    int pid = 0;
    std::vector<int> signals;
    nanoseconds every{0};
};

/// PID:SIGNAL[,SIGNAL...]:EVERY, as `4711:HUP:500ms`. Throws UsageError.
[[nodiscard]] Storm parse_storm(std::string_view text);

struct Options {
    Url url;
    unsigned threads = 1;
    unsigned connections = 64;
    nanoseconds duration = std::chrono::seconds(10);
    nanoseconds warmup{0};
    nanoseconds timeout = std::chrono::seconds(5);
    nanoseconds think{0};
    nanoseconds slice = std::chrono::milliseconds(100);
    nanoseconds spin = std::chrono::microseconds(50);
    double rate = 0;             ///< requests a second over all connections; 0 = closed loop
    std::uint64_t requests = 0;  ///< stop after so many answers or failures; 0 = by time alone
    unsigned pipeline = 1;
    bool one_shot = false;

    std::string method = "GET";
    std::vector<std::string> headers;
    std::string command;            ///< board and redis
    std::string send;               ///< raw
    std::uint64_t size = 64;        ///< echo: bytes of a message
    std::uint64_t reply_bytes = 0;  ///< raw; 0 = replies are lines
    std::uint64_t numbers = 1000;
    int status = 200;
    bool check_content = false;
    std::string content_file;
    std::string generation_header;

    std::vector<int> servers;  ///< processes whose CPU time is measured, with their descendants
    std::optional<Storm> storm;
    std::string json;  ///< file for the report; empty = none, "-" = standard output
    bool announce = false;
    bool quiet = false;
    bool help = false;
};

/// Throws UsageError.
[[nodiscard]] Options parse_options(int argc, const char* const* argv);

/// What --help prints.
[[nodiscard]] std::string usage();

}  // namespace preforkd::bench
