#pragma once

namespace preforkd::master {

/// What to do where a file system is read-only: mostly it is a unit's ProtectSystem= that makes it
/// so. Source: systemd.exec(5), Sandboxing.
inline constexpr const char* read_only_hint =
    "configure another path; under systemd: name a folder in ReadWritePaths= (systemctl edit), or "
    "have it made by RuntimeDirectory=, StateDirectory= or LogsDirectory=";

}  // namespace preforkd::master
