#pragma once

#include <boost/system/result.hpp>
#include <string>

#include "shared/unique_fd.hpp"

namespace preforkd::master {

// Root that opens a path of its configuration must not be led elsewhere by whoever owns, or may
// write, a folder on the way: by a link `logs` of theirs to /etc. What is root's or ours is
// trusted. The model is systemd's rule of unsafe transitions: from what somebody else controls no
// link leads on. Source: tmpfiles.d(5), "unsafe path transition"; path_resolution(7).

/// How much is asked of the folders on the way, the last one among them.
enum class Way {
    /// Nobody else can replace what the path leads to: each belongs to root or us, and is sticky as
    /// /tmp is if all may write to it.
    guarded,
    /// They may be somebody else's, who can put things of theirs there, but no link leads on from
    /// such a folder.
    straight,
};

/// What becomes of the last part of a path if it is a symbolic link.
enum class LastLink { kept, followed };

/// Where a path leads: a name in a folder that is held open, so that it stays that one whatever is
/// renamed meanwhile.
struct Destination {
    UniqueFd folder;  ///< O_PATH, for openat(2) and its kin
    std::string name;
    /// Nobody but root and we can put anything here, not even a group, or lead us elsewhere.
    bool is_ours = true;
    /// In /proc, where the kernel leads on from a link whose text says nothing: /proc/self/fd/1.
    bool is_magic = false;
};

/// What keeps a path from being walked, or makes it unsafe.
struct Obstacle {
    int error = 0;     ///< errno; 0 if it is there, but unsafe
    std::string part;  ///< the folder or link where that is
    std::string why;   ///< "belongs to uid 1000, who ..."
    std::string what_to_do;
};

using Walked = boost::system::result<Destination, Obstacle>;

/// Goes from / to the folder that the absolute `path` ends in, through at most 40 links. The last
/// part need not exist. Errors: ENOENT, ENOTDIR, EACCES, ELOOP and others of open(2); 0.
[[nodiscard]] Walked walk_to(const std::string& path, Way way, LastLink last = LastLink::kept);

}  // namespace preforkd::master
