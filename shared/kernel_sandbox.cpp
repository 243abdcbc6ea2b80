#include "shared/kernel_sandbox.hpp"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace preforkd {

int landlock_abi() noexcept {
    constexpr unsigned ask_for_version = 1;
    const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, ask_for_version);
    return abi < 0 ? 0 : static_cast<int>(abi);
}

std::string landlock_gaps(int abi) {
    std::string gaps;
    const auto add = [&](int since, const char* gap) {
        if (abi < since) gaps += (gaps.empty() ? "" : ", ") + std::string(gap);
    };
    add(1, "opening files (Linux 5.13)");
    add(3, "truncating files that it may read (Linux 6.2)");
    add(4, "TCP ports (Linux 6.7)");
    add(6, "signals and abstract unix sockets (Linux 6.12)");
    return gaps;
}

bool kernel_has_seccomp() noexcept {
    std::uint32_t action = SECCOMP_RET_KILL_PROCESS;
    return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

}  // namespace preforkd
