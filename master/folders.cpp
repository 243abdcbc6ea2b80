#include "master/folders.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "master/read_only_hint.hpp"
#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why, const std::string& hint,
                         int code = exit_failure) {
    throw StartupError(code, fmt::format("folder {}: {}\n    {}", path, why, hint));
}

[[noreturn]] void refuse_errno(const std::string& path, const char* doing, int error) {
    const std::string why = fmt::format("{}: {}", doing, std::strerror(error));
    if (error == EACCES || error == EPERM)
        refuse(path, why, "make it beforehand, start as root, or configure another path",
               exit_no_privilege);
    if (error == EROFS) refuse(path, why, read_only_hint);
    refuse(path, why, "configure another path");
}

}  // namespace

std::string folder_of(const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    const std::size_t slash = end == std::string::npos ? end : path.rfind('/', end);
    if (slash == std::string::npos || slash == 0) return "/";
    return path.substr(0, slash);
}

void make_own_folder(const std::string& path) {
    make_own_folder(path, ::geteuid() == 0 ? 0755 : 0700);
}

void make_own_folder(const std::string& path, mode_t mode) {
    const Destination place = require_safe_way_to(path, "folder");
    const mode_t callers_umask = ::umask(0);
    const int error = ::mkdirat(place.folder.get(), place.name.c_str(), mode) == 0 ? 0 : errno;
    ::umask(callers_umask);
    if (error != 0 && error != EEXIST) refuse_errno(path, "cannot make it", error);
    const UniqueFd folder(::openat(place.folder.get(), place.name.c_str(),
                                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder.is_open()) {
        // With O_DIRECTORY a symlink gives ENOTDIR, not ELOOP. Source: open(2), O_NOFOLLOW.
        if (errno == ENOTDIR || errno == ELOOP)
            refuse(path, "is a symbolic link or not a folder",
                   "remove it or configure another path");
        refuse_errno(path, "cannot open it", errno);
    }
    struct stat found {};
    if (::fstat(folder.get(), &found) < 0) refuse_errno(path, "cannot look at it", errno);
    if (found.st_uid != ::geteuid())
        refuse(path,
               fmt::format("belongs to uid {}, not to uid {} that starts this program",
                           found.st_uid, ::geteuid()),
               "remove it, chown it or configure another path");
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        refuse(path, fmt::format("has mode {:04o}, others can write to it", found.st_mode & 07777),
               fmt::format("chmod go-w {}", path));
}

void make_runtime_folder_for(const std::string& path, const std::filesystem::path& runtime_folder) {
    const std::string folder = folder_of(path);
    if (folder != (runtime_folder / "file").lexically_normal().parent_path()) return;
    struct stat found {};
    if (::stat(folder.c_str(), &found) < 0 && errno == ENOENT) make_own_folder(folder);
}

Destination require_safe_way_to(const std::string& path, const char* what, LastLink last) {
    Walked walked = walk_to(path, Way::guarded, last);
    if (walked) return std::move(*walked);
    const Obstacle& obstacle = walked.error();
    switch (obstacle.error) {
        case 0:
            throw StartupError(exit_failure,
                               fmt::format("{} {}: {} {}\n    {}", what, path, obstacle.part,
                                           obstacle.why, obstacle.what_to_do));
        case ENOENT:
            refuse(obstacle.part, fmt::format("does not exist, for {} {}", what, path),
                   "make it beforehand or correct the path");
        case ENOTDIR:
            refuse(obstacle.part, fmt::format("is no folder, for {} {}", what, path),
                   obstacle.what_to_do);
        default:
            refuse_errno(obstacle.part, "cannot look at it", obstacle.error);
    }
}

}  // namespace preforkd::master
