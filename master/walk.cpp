#include "master/walk.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

namespace preforkd::master {
namespace {

constexpr int most_links = 40;  // as many as the kernel follows: path_resolution(7)
constexpr int looking = O_PATH | O_NOFOLLOW | O_CLOEXEC;

constexpr const char* other_path = "configure another path";

/// In a user namespace that doesn't know them, the owners of /, /usr or /tmp all look like one user
/// that isn't there. Source: user_namespaces(7), "Unmapped user and group IDs".
bool is_unmapped(uid_t user) {
    uid_t overflow = 0;
    if (!(std::ifstream("/proc/sys/kernel/overflowuid") >> overflow) || user != overflow)
        return false;
    std::ifstream map("/proc/self/uid_map");
    for (std::uint64_t first = 0, outside = 0, count = 0; map >> first >> outside >> count;)
        if (user >= first && user - first < count) return false;
    return map.eof();
}

bool is_trusted(uid_t user) {
    return user == 0 || user == ::geteuid() || is_unmapped(user);
}

bool is_in_proc(const UniqueFd& link) {
    struct statfs system {};
    return ::fstatfs(link.get(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

class Walk {
  public:
    Walk(const std::string& path, Way way, LastLink last)
        : way_(way), last_(last), rest_(path), trailing_slash_(path.ends_with('/') ? "/" : "") {}

    Walked go() {
        if (auto obstacle = start_from_root()) return std::move(*obstacle);
        for (;;) {
            std::string part = take_part();
            const bool is_last = rest_.empty();
            if (part == "." && !is_last) continue;
            // With its slash, for then it can only be a folder.
            if (is_last && last_ == LastLink::kept) return place(part + trailing_slash_);
            if (auto obstacle = is_last ? look_at_last(part) : step(part))
                return std::move(*obstacle);
            if (has_arrived_) return place(std::move(part));
        }
    }

  private:
    using Problem = std::optional<Obstacle>;

    Problem start_from_root() {
        UniqueFd root(::open("/", looking | O_DIRECTORY));
        return enter(std::move(root), "/");
    }

    /// The next part of what is left; "." for that of "/".
    std::string take_part() {
        const std::size_t begin = std::min(rest_.find_first_not_of('/'), rest_.size());
        const std::size_t end = std::min(rest_.find('/', begin), rest_.size());
        std::string part = rest_.substr(begin, end - begin);
        rest_.erase(0, std::min(rest_.find_first_not_of('/', end), rest_.size()));
        return part.empty() ? "." : part;
    }

    Problem step(const std::string& part) {
        if (part == ".." && !suspect_.empty())
            return unsafe(where_ / part, fmt::format("leads out of a folder, and {}", suspect_));
        const std::filesystem::path name = (where_ / part).lexically_normal();
        UniqueFd next(::openat(folder_.get(), part.c_str(), looking));
        struct stat status {};
        if (!next.is_open() || ::fstat(next.get(), &status) < 0) return failure(name, errno);
        return S_ISLNK(status.st_mode) ? follow(next, name, status, part)
                                       : enter(std::move(next), name);
    }

    /// It may be absent, or something that can't be opened: that is for whoever opens it.
    Problem look_at_last(const std::string& part) {
        const UniqueFd last(::openat(folder_.get(), part.c_str(), looking));
        struct stat status {};
        has_arrived_ =
            !last.is_open() || ::fstat(last.get(), &status) < 0 || !S_ISLNK(status.st_mode);
        return has_arrived_ ? Problem() : follow(last, where_ / part, status, part);
    }

    Problem follow(const UniqueFd& link, const std::filesystem::path& name,
                   const struct stat& status, const std::string& part) {
        if (++links_ > most_links) return failure(name, ELOOP);
        if (!is_trusted(status.st_uid))
            return unsafe(name, fmt::format("is a symbolic link of uid {}, who could lead it "
                                            "anywhere",
                                            status.st_uid));
        if (!suspect_.empty())
            return unsafe(name, fmt::format("is a symbolic link, and {}", suspect_));
        if (is_in_proc(link)) return follow_magic(name, part);
        char target[PATH_MAX];
        const ssize_t length = ::readlinkat(link.get(), "", target, sizeof target);
        if (length < 0) return failure(name, errno);
        const std::string text(target, static_cast<std::size_t>(length));
        rest_ = rest_.empty() ? text : text + "/" + rest_;
        return text.starts_with('/') ? start_from_root() : Problem();
    }

    Problem follow_magic(const std::filesystem::path& name, const std::string& part) {
        has_arrived_ = is_magic_ = rest_.empty();
        if (is_magic_) return {};
        return enter(UniqueFd(::openat(folder_.get(), part.c_str(), O_PATH | O_CLOEXEC)), name);
    }

    Problem enter(UniqueFd folder, std::filesystem::path name) {
        struct stat status {};
        if (!folder.is_open() || ::fstat(folder.get(), &status) < 0) return failure(name, errno);
        if (!S_ISDIR(status.st_mode)) return failure(name, ENOTDIR);
        folder_ = std::move(folder);
        where_ = std::move(name);
        has_writers_ = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
        return judge(status);
    }

    /// A group that may write to a folder of root's was let in by root, as syslog is into /var/log
    /// on some systems.
    Problem judge(const struct stat& status) {
        const bool is_foreign = !is_trusted(status.st_uid);
        const bool is_open = (status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0;
        if (!is_foreign && !is_open) return {};
        const std::string what =
            is_foreign ? fmt::format("belongs to uid {}, who", status.st_uid)
                       : fmt::format("has mode {:04o}, anybody", status.st_mode & 07777);
        if (way_ == Way::guarded)
            return Obstacle{0, where_, what + " could replace what lies in it",
                            is_foreign
                                ? "chown it or configure another path"
                                : fmt::format("chmod o-w {} or {}", where_.string(), other_path)};
        if (suspect_.empty())
            suspect_ = fmt::format("'{}' {} could lead it anywhere", where_.string(), what);
        return {};
    }

    [[nodiscard]] Destination place(std::string name) {
        return {std::move(folder_), std::move(name), suspect_.empty() && !has_writers_, is_magic_};
    }

    static Obstacle failure(const std::filesystem::path& part, int error) {
        return {error, part, std::strerror(error), other_path};
    }

    static Obstacle unsafe(const std::filesystem::path& part, std::string why) {
        return {0, part, std::move(why), "configure the path that it leads to, or another one"};
    }

    Way way_;
    LastLink last_;
    std::string rest_;  ///< of the path, links replaced by what they say
    const char* trailing_slash_;
    UniqueFd folder_;
    std::filesystem::path where_;
    std::string suspect_;  ///< the first folder that somebody else could change, and who
    bool has_writers_ = false;
    bool has_arrived_ = false;
    bool is_magic_ = false;
    int links_ = 0;
};

}  // namespace

Walked walk_to(const std::string& path, Way way, LastLink last) {
    return Walk(path, way, last).go();
}

}  // namespace preforkd::master
