#pragma once

namespace preforkd {

/// How the programs end. Source: Linux Standard Base, init script actions; systemd.exec(5).
enum ExitCode : int {
    exit_ok = 0,
    exit_failure = 1,
    exit_usage = 2,
    exit_no_privilege = 4,
    exit_configuration = 6,
    exit_not_running = 7,
};

}  // namespace preforkd
