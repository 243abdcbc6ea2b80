#include "shared/kernel_sandbox.hpp"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "shared/result.hpp"

namespace preforkd {
namespace {

/// What a call that has just failed says: 0 when the kernel lacks what it asked for.
int refusal() noexcept {
    // Source: landlock_create_ruleset(2), seccomp(2), ERRORS. EOPNOTSUPP: not in this kernel, or
    // switched off when it was started.
    return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : errno;
}

/// What a kernel with that version of Landlock lacks: "TCP ports (Linux 6.7)".
std::string landlock_gaps(std::uint32_t version) {
    std::string gaps;
    const auto add = [&](std::uint32_t since, const char* gap) {
        if (version < since) gaps += (gaps.empty() ? "" : ", ") + std::string(gap);
    };
    add(1, "opening files (Linux 5.13)");
    add(3, "truncating files that it may read (Linux 6.2)");
    add(4, "TCP ports (Linux 6.7)");
    add(6, "signals and abstract unix sockets (Linux 6.12)");
    return gaps;
}

std::string refused(const char* call, int error, const char* consequence, const char* calls) {
    return std::string(call) + " was refused (" +
           error_code(error, boost::system::system_category()).message() + "), so " + consequence +
           "; where a container's or a service manager's filter of system calls forbids it, "
           "allow " +
           calls + ", and restart";
}

}  // namespace

KernelSandbox ask_kernel_for_sandbox() noexcept {
    KernelSandbox kernel;
    constexpr unsigned ask_for_version = 1;
    const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, ask_for_version);
    if (version < 0)
        kernel.landlock_error = refusal();
    else
        kernel.landlock = static_cast<std::uint32_t>(version);
    std::uint32_t action = SECCOMP_RET_KILL_PROCESS;
    kernel.seccomp = ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
    if (!kernel.seccomp) kernel.seccomp_error = refusal();
    return kernel;
}

std::vector<std::string> sandbox_gaps(const KernelSandbox& kernel) {
    std::vector<std::string> gaps;
    const std::string landlock = landlock_gaps(kernel.landlock);
    if (kernel.landlock_error != 0)
        gaps.push_back(refused("landlock_create_ruleset", kernel.landlock_error,
                               "workers are not confined by Landlock",
                               "landlock_create_ruleset, landlock_add_rule and "
                               "landlock_restrict_self"));
    else if (!landlock.empty())
        gaps.push_back("this kernel's Landlock can't confine workers in: " + landlock);
    if (kernel.seccomp_error != 0)
        gaps.push_back(refused("seccomp", kernel.seccomp_error,
                               "the workers' system calls are not filtered", "seccomp"));
    else if (!kernel.seccomp)
        gaps.emplace_back("this kernel can't filter the workers' system calls (CONFIG_SECCOMP)");
    return gaps;
}

}  // namespace preforkd
