#pragma once

#include <unistd.h>

#include "shared/unique_fd.hpp"

namespace preforkd::worker {

/// Closes a listening socket and keeps its number in use, as another name of /dev/null, until the
/// process ends: the sandbox guards the numbers that shared descriptors have, and a connection must
/// not get one of them.
inline void park(UniqueFd socket) noexcept {
    if (::dup2(STDIN_FILENO, socket.get()) == socket.get()) (void)socket.release();
}

}  // namespace preforkd::worker
