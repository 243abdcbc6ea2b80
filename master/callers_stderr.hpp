#pragma once

#include <string>

#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// The caller's stream `descriptor` as a log that workers may have.
/// A terminal: opened anew for writing alone, so that nobody reads there what is typed; without
/// waiting, so that a stopped terminal stops no server.
/// A file: opened anew for appending alone, and made to append for all who share `descriptor`.
/// A pipe: opened anew without waiting; the caller's own end goes on waiting for its reader.
/// What can't be opened anew (a socket, another user's) comes as it is. Doing it twice changes
/// nothing. Empty, with errno: no descriptor is left.
[[nodiscard]] UniqueFd open_as_log(int descriptor);

/// What whoever runs the server should know of such a log; empty: nothing.
[[nodiscard]] std::string notice_of_log(const UniqueFd& log);

}  // namespace preforkd::master
