#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "shared/result.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"

// Named wrappers for system calls that glibc 2.36 lacks or that always want the same care.
// Each returns the kernel's errno; none allocates unless it returns a string.

namespace preforkd {

/// Refers to the process itself, so a recycled pid can't be hit by mistake. Source: pidfd_open(2).
[[nodiscard]] Result<UniqueFd> open_pidfd(Pid pid) noexcept;

/// Source: pidfd_send_signal(2). Errors: ESRCH the process has been reaped; EPERM.
error_code send_signal(const UniqueFd& pidfd, int signal) noexcept;

/// An anonymous file holding `text`, sealed against every change, close-on-exec.
/// Source: memfd_create(2), fcntl(2) "File Sealing".
[[nodiscard]] Result<UniqueFd> sealed_memory(const char* name, std::string_view text) noexcept;

/// The rest of `fd` from offset 0, at most `limit` bytes. Errors: EFBIG more than `limit`.
[[nodiscard]] Result<std::string> read_all(const UniqueFd& fd, std::size_t limit);

/// Opens `path` beneath `folder`, never outside it and never through a magic link.
/// Source: openat2(2), RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS. Errors: EXDEV it leads outside.
[[nodiscard]] Result<UniqueFd> open_beneath(const UniqueFd& folder, const char* path, int flags,
                                            std::uint64_t extra_resolve = 0) noexcept;

/// Writes all of `bytes`, through EINTR and short writes. Source: write(2).
error_code write_all(int fd, std::string_view bytes) noexcept;

/// Marks every descriptor from `first` up close-on-exec. Source: close_range(2).
error_code close_on_exec_from(unsigned first) noexcept;

/// From here on nobody can pass descriptors to this unix socket, nor to those accepted from it
/// (EPERM). Before Linux 6.16 it does nothing. Source: SO_PASSRIGHTS in include/net/sock.h.
void refuse_descriptors(const UniqueFd& socket) noexcept;

/// Sets what a signal does, to SIG_DFL or SIG_IGN, for all of 1 to 64. signal(3) refuses the two
/// that the C library keeps for itself (32 and 33), whose default would end a process that anyone
/// sends them to. Source: rt_sigaction(2).
void set_disposition(int signal, void (*disposition)(int)) noexcept;

/// What a system call says, and what to do if a limit makes it say so.
[[nodiscard]] std::string with_limit_advice(error_code error);

}  // namespace preforkd
