#pragma once

#include <vector>

#include "worker/system_calls.hpp"

namespace preforkd::worker {

/// From here on, in all threads, the process is killed by SIGSYS for: a call that no rule names,
/// one of another architecture; setsockopt(2), connect(2) or ioctl(2) on a descriptor up to
/// `last_guarded`, and copying one to a number above. Those are shared with other workers.
/// Requires: no_new_privs. Throws std::system_error.
void confine_system_calls(const std::vector<CallRule>& rules, int last_guarded);

/// Whether this is a build whose tools make calls of their own: then what is forbidden is done, and
/// only logged by the kernel.
[[nodiscard]] bool is_sanitizer_build() noexcept;

}  // namespace preforkd::worker
