#pragma once

#include <vector>

#include "worker/system_calls.hpp"

namespace preforkd::worker {

/// The descriptors that other workers or the master have as well: those up to a number.
struct SharedDescriptors {
    int last = 3;
    bool has_datagrams = false;  ///< one is a datagram socket: the log goes to syslog(3)
};

/// From here on, in all threads, the process is killed by SIGSYS for: a call that no rule names,
/// one of another architecture; setsockopt(2), connect(2), ioctl(2) or shutdown(2) on a shared
/// descriptor, and copying one to a number above; sendmsg(2) on one; recvmsg(2) but on the channel,
/// and closing or replacing that; and, if a shared one is a datagram socket, sendto(2) on any but
/// the channel.
/// Requires: no_new_privs. Throws std::system_error.
void confine_system_calls(const std::vector<CallRule>& rules, const SharedDescriptors& shared);

/// Whether this is a build whose tools make calls of their own: then what is forbidden is done, and
/// only logged by the kernel.
[[nodiscard]] bool is_sanitizer_build() noexcept;

}  // namespace preforkd::worker
