#include "master/lock_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>
#include <string_view>

#include "master/capabilities.hpp"
#include "master/folders.hpp"
#include "master/processes.hpp"
#include "master/read_only_hint.hpp"
#include "shared/exit_code.hpp"

namespace preforkd::master {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why, const std::string& hint,
                         int code = exit_failure) {
    throw StartupError(code, fmt::format("lock file {}: {}\n    {}", path, why, hint));
}

constexpr const char* restart = "the old program goes on; stop it and start this one";
constexpr const char* other_path = "set lock_file to another path";
constexpr const char* remove_or_other_path = "remove it or set lock_file to another path";

[[noreturn]] void refuse_open(const std::string& path, int error) {
    switch (error) {
        case ELOOP:
            refuse(path, "is a symbolic link, which could lead anywhere", "remove it");
        case EISDIR:
        case ENXIO:  // a socket
            refuse(path, "is no regular file", remove_or_other_path);
        case EACCES:
        case EPERM:
            refuse(path, fmt::format("cannot open it: {}", std::strerror(error)),
                   "start as the user it belongs to, or set lock_file to a path you can write",
                   exit_no_privilege);
        case EMFILE:
            refuse(path, fmt::format("cannot open it: {}", std::strerror(error)),
                   "raise the limit on open files (ulimit -n, LimitNOFILE=)");
        case ENOSPC:
        case EDQUOT:
            refuse(path, fmt::format("cannot open it: {}", std::strerror(error)),
                   "make room there, or set lock_file to a path on another disk");
        case EROFS:
            refuse(path, fmt::format("cannot open it: {}", std::strerror(error)), read_only_hint);
        default:
            refuse(path, fmt::format("cannot open it: {}", std::strerror(error)), other_path);
    }
}

void require_our_plain_file(const std::string& path, const struct stat& found) {
    if (!S_ISREG(found.st_mode)) refuse(path, "is no regular file", remove_or_other_path);
    if (found.st_uid != ::geteuid())
        refuse(path,
               fmt::format("belongs to uid {}, not to uid {} that starts this program",
                           found.st_uid, ::geteuid()),
               remove_or_other_path);
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        refuse(path, fmt::format("has mode {:04o}, others can write to it", found.st_mode & 07777),
               "remove it");
    if (found.st_nlink > 1)
        refuse(path, fmt::format("is one of {} hard links to the same file", found.st_nlink),
               "remove it");
}

/// What to do when `path` is locked and can't be written.
const char* advice_on_writing(int error) noexcept {
    switch (error) {
        case EFBIG:
            return "raise the limit on the size of files (ulimit -f, LimitFSIZE=)";
        case ENOSPC:
        case EDQUOT:
            return "make room there, or set lock_file to a path on another disk";
        default:
            return other_path;
    }
}

/// Whether `path` (still) names the file that is open as `fd`.
bool leads_to(const std::string& path, int fd) noexcept {
    struct stat opened {
    }, named{};
    return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

[[noreturn]] void refuse_held(const std::string& path, const UniqueFd& lock) {
    const auto holder = find_lock_holder(lock);
    if (!holder)
        throw StartupError(exit_failure,
                           fmt::format("already running as another user's process (lock {})\n"
                                       "    to run beside it, set lock_file to another path",
                                       path));
    throw StartupError(exit_failure,
                       fmt::format("already running as pid {0} (lock {1})\n"
                                   "    to apply a changed configuration: kill -HUP {0}",
                                   holder->value, path));
}

/// One try; an empty descriptor means that the file was replaced under our hands.
UniqueFd try_to_lock(const std::string& path, const Destination& place) {
    UniqueFd fd(::openat(place.folder.get(), place.name.c_str(),
                         O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644));
    if (!fd.is_open()) refuse_open(path, errno);
    struct stat found {};
    if (::fstat(fd.get(), &found) < 0) refuse_open(path, errno);
    require_our_plain_file(path, found);
    // flock(2), not fcntl(2): it belongs to the open file description and so survives
    // daemonizing's fork; an fcntl lock would die with the parent.
    int outcome = 0;
    do outcome = ::flock(fd.get(), LOCK_EX | LOCK_NB);
    while (outcome < 0 && errno == EINTR);
    const int error = outcome < 0 ? errno : 0;
    // The holder before us may have removed the file between our open and our flock: then we hold
    // a file that nobody else will find, and a third process would hold the one that they do.
    if (!leads_to(path, fd.get())) return {};
    if (error == EWOULDBLOCK) refuse_held(path, fd);
    if (error != 0)
        refuse(path, fmt::format("cannot lock it: {}", std::strerror(error)), other_path);
    // Readable for all, whatever the umask: its text tells people whom to signal.
    if (::fchmod(fd.get(), 0644) < 0)
        refuse(path, fmt::format("cannot set its permissions: {}", std::strerror(errno)),
               other_path);
    return fd;
}

bool holds_flock(const OpenDescriptor& open) {
    const std::string info = read_proc(open.pid, fmt::format("fdinfo/{}", open.number).c_str());
    return info.find("FLOCK") != std::string::npos;
}

std::optional<Pid> look_for_lock_holder(const UniqueFd& lock) {
    // Not /proc/locks: it knows who called flock, which after daemonizing is a dead process.
    const auto holders_among = [&](const std::vector<Pid>& processes) {
        auto holders = find_open({link_of(lock.get())}, processes);
        std::erase_if(holders, [](const OpenDescriptor& open) { return !holds_flock(open); });
        return holders;
    };
    // Its launcher and a child not yet past its exec hold it too; the file says which one to name.
    const auto named = read_pid(lock);
    if (named && !holders_among({*named}).empty()) return named;
    const auto holders = holders_among(all_processes());
    if (!holders.empty()) return holders.front().pid;
    if (named && (::kill(named->value, 0) == 0 || errno == EPERM)) return named;
    return std::nullopt;
}

}  // namespace

LockFile LockFile::acquire(std::string path) {
    const Destination place = require_safe_way_to(path, "lock file");
    // Each failed try means that another copy came and went meanwhile.
    for (int tries = 0; tries < 1000; ++tries) {
        UniqueFd fd = try_to_lock(path, place);
        if (!fd.is_open()) continue;
        LockFile lock(std::move(path), std::move(fd));
        if (const error_code error = lock.write_pid())
            refuse(lock.path(), fmt::format("cannot write our pid: {}", error.message()),
                   advice_on_writing(error.value()));
        return lock;
    }
    refuse(path, "another program keeps replacing it",
           "find out which, or set lock_file to another path");
}

LockFile LockFile::adopt(std::string path, int fd) {
    struct stat found {};
    if (::fstat(fd, &found) < 0 || !S_ISREG(found.st_mode))
        refuse(path, fmt::format("descriptor {} handed over for it is no regular file", fd),
               restart);
    if (::flock(fd, LOCK_EX | LOCK_NB) < 0)
        refuse(path,
               fmt::format("descriptor {} handed over for it does not hold the lock: {}", fd,
                           std::strerror(errno)),
               restart);
    LockFile lock(std::move(path), UniqueFd(fd));
    (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
    lock.owner_ = Pid{::getpid()};
    (void)lock.write_pid();  // it is there already, unless somebody has written to our file
    return lock;
}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
    if (this == &other) return *this;
    release();
    path_ = std::move(other.path_);
    fd_ = std::move(other.fd_);
    owner_ = other.owner_;
    return *this;
}

error_code LockFile::write_pid() noexcept {
    char text[16];
    const auto [end, failed] = std::to_chars(text, text + sizeof text - 1, ::getpid());
    if (failed != std::errc()) return {EOVERFLOW, boost::system::system_category()};
    *end = '\n';
    owner_ = Pid{::getpid()};  // also of a file that couldn't be written: it must go as well
    // Overwritten first and cut after, so that a reader never finds it empty.
    const auto length = static_cast<std::size_t>(end + 1 - text);
    const ssize_t written = ::pwrite(fd_.get(), text, length, 0);
    if (written < 0) return last_error();
    if (static_cast<std::size_t>(written) != length)
        return {ENOSPC, boost::system::system_category()};
    if (::ftruncate(fd_.get(), static_cast<off_t>(length)) < 0) return last_error();
    return {};
}

void LockFile::release() noexcept {
    if (!fd_.is_open()) return;
    const FileAccess as_at_start;
    if (owner_ == Pid{::getpid()} && leads_to(path_, fd_.get())) ::unlink(path_.c_str());
    fd_.reset();
}

std::optional<Pid> read_pid(const UniqueFd& lock) noexcept {
    char text[32];
    const ssize_t got = ::pread(lock.get(), text, sizeof text, 0);
    if (got <= 0) return std::nullopt;
    int pid = 0;
    const auto [end, failed] = std::from_chars(text, text + got, pid);
    if (failed != std::errc() || pid <= 0 || end == text + got || *end != '\n') return std::nullopt;
    return Pid{pid};
}

std::optional<Pid> find_lock_holder(const UniqueFd& lock) {
    // One that goes to the background meanwhile may be in none of the processes that a look finds:
    // the one before the fork has gone, the one after it came too late to be listed.
    for (int looks = 0; looks < 5; ++looks)
        if (const auto holder = look_for_lock_holder(lock)) return holder;
    return std::nullopt;
}

}  // namespace preforkd::master
