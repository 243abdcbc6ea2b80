#pragma once

#include "master/startup.hpp"

namespace preforkd::master {

/// Whether this program is called by a master that is to be replaced: see take_over_call.hpp.
[[nodiscard]] bool is_called_by_master(const Invocation& invocation);

/// Proves that this program could go on as the master that called it, or goes on as that master to
/// its end; the exit code. Requires: is_called_by_master().
int take_over(const Invocation& invocation);

}  // namespace preforkd::master
