#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "shared/config.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// Who the workers are; looked up once, before the first fork, for the look-up reads files.
struct Credentials {
    std::string user_name;
    uid_t user = 0;
    gid_t group = 0;
    std::vector<gid_t> groups;  ///< supplementary groups of the user; `group` is among them
};

/// What the workers become, and what a person should know about it (at most once, at start).
struct WorkerIdentity {
    std::optional<Credentials> credentials;  ///< nothing: they stay who we are
    std::vector<std::string> notices;
};

/// Decides who the workers are. Root with `user` unset takes `preforkd` if it exists, else
/// `nobody`. Without root they stay the caller. Throws StartupError: exit 4 when another user is
/// asked for without the privilege to become it, exit 6 when there is no unprivileged user to
/// become.
[[nodiscard]] WorkerIdentity resolve_identity(const Config& config);

/// Throws StartupError unless `credentials` may execute the program open as `image`, for a worker
/// starts by executing it. The folders on the way don't matter: it is executed by descriptor.
void require_executable_by(const Credentials& credentials, const UniqueFd& image);

}  // namespace preforkd::master
