#pragma once

#include <string>

namespace preforkd {

/// The version of Landlock that this kernel has: 0 when it has none, or was started without it.
/// Source: landlock_create_ruleset(2), LANDLOCK_CREATE_RULESET_VERSION.
[[nodiscard]] int landlock_abi() noexcept;

/// What workers can't be confined in on a kernel with that version, in words: "TCP ports (Linux
/// 6.7)". Empty when nothing is missing.
[[nodiscard]] std::string landlock_gaps(int abi);

/// Whether the kernel can kill a process for a forbidden system call. Source: seccomp(2),
/// SECCOMP_GET_ACTION_AVAIL, SECCOMP_RET_KILL_PROCESS.
[[nodiscard]] bool kernel_has_seccomp() noexcept;

}  // namespace preforkd
