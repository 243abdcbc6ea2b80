#pragma once

#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// /dev/null, for what has nothing to read or nowhere to write. `flags`: see open(2). Throws
/// StartupError that says how to make it: a chroot often lacks it.
[[nodiscard]] UniqueFd open_null_device(int flags);

}  // namespace preforkd::master
