#pragma once

#include <cstdint>
#include <vector>

#include "shared/result.hpp"

namespace preforkd::worker {

/// What stays possible by name once Landlock confines a process; all else is refused with EACCES.
struct LandlockRules {
    std::vector<int> readable_folders;  ///< their files may be opened for reading, and listed
    bool connects = false;              ///< outgoing TCP connections
};

/// Confines the calling thread, and those that it starts later, for good: files as `rules` say; no
/// TCP port bound; no signal to and no abstract unix socket of anybody outside. As far as that
/// version of Landlock goes, so with 0 nothing happens; sandbox_gaps() tells.
/// Requires: no_new_privs. Source: landlock(7). Errors: those of landlock_restrict_self(2).
error_code restrict_by_landlock(const LandlockRules& rules, std::uint32_t version) noexcept;

}  // namespace preforkd::worker
