#pragma once

namespace preforkd {

/// In syslog's order, most talkative first. Source: syslog(3).
enum class LogLevel { debug, info, notice, warning, error };

}  // namespace preforkd
