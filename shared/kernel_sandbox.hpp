#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace preforkd {

/// What the kernel offers to confine workers by. The master asks for it once, and its workers go by
/// that answer: none of them is confined less than the master has said.
struct KernelSandbox {
    std::uint32_t landlock = 0;  ///< Landlock's version; 0: there is none
    bool seccomp = false;        ///< a process can be killed for a forbidden system call

    /// Why it could not even be asked for, as errno: something between the kernel and us refuses.
    /// 0: it could.
    int landlock_error = 0;
    int seccomp_error = 0;

    bool operator==(const KernelSandbox&) const = default;
};

/// Asks the kernel. Source: landlock_create_ruleset(2), LANDLOCK_CREATE_RULESET_VERSION;
/// seccomp(2), SECCOMP_GET_ACTION_AVAIL.
[[nodiscard]] KernelSandbox ask_kernel_for_sandbox() noexcept;

/// What workers can't be confined in, in words for whoever runs the server; empty when nothing is
/// missing.
[[nodiscard]] std::vector<std::string> sandbox_gaps(const KernelSandbox& kernel);

}  // namespace preforkd
