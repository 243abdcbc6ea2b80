#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "master/walk.hpp"

namespace preforkd::master {

/// Makes sure that `path` is a folder of ours that nobody else can change: made if it is absent
/// (0755 by root, 0700 by anyone else, whatever the umask), else refused when it is a symlink,
/// belongs to someone else or is writable by group or others. The parent must exist.
/// Throws StartupError.
void make_own_folder(const std::string& path);

/// As make_own_folder, but with `mode`.
void make_own_folder(const std::string& path, mode_t mode);

/// The place of `path`, if nobody but root and we can replace what lies there: the folder and those
/// above it are there, belong to root or us, and if others may write to one, it is sticky as /tmp
/// is; the same holds on the way that a link leads. `what` names the file in the message: "lock
/// file". Throws StartupError.
Destination require_safe_way_to(const std::string& path, const char* what,
                                LastLink last = LastLink::kept);

/// Makes the runtime folder, as by make_own_folder, if it is absent and `path` is to lie in it. Any
/// other folder is its owner's business: an absent one is mostly a slip of the pen.
/// Throws StartupError.
void make_runtime_folder_for(const std::string& path, const std::filesystem::path& runtime_folder);

/// The folder part of an absolute path: "/run/a" of "/run/a/b", "/" of "/a".
[[nodiscard]] std::string folder_of(const std::string& path);

}  // namespace preforkd::master
