#include "master/service_paths.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "master/read_only_hint.hpp"
#include "master/walk.hpp"
#include "shared/file_copies.hpp"
#include "shared/result.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

constexpr mode_t data_file_mode = 0600;

/// What is wrong, and what to do about it; nothing wrong when `what` is empty.
struct Problem {
    std::string what, hint;
};

Problem system_problem(int number) {
    const std::string text = error_code(number, boost::system::system_category()).message();
    switch (number) {
        case ENOENT:
            return {text, "make it, or correct the path"};
        case EACCES:
            return {text, "give this user the right to open it"};
        case EROFS:
            return {text, read_only_hint};
        case ENOTDIR:
            return {"is not a folder", "name the folder, not a file in it"};
        case ELOOP:
            return {"is a symbolic link", "name the file that it leads to"};
        default:
            return {text, ""};
    }
}

Problem regular_file_problem(const UniqueFd& file, bool is_data, uid_t owner) {
    struct stat status {};
    if (::fstat(file.get(), &status) < 0) return system_problem(errno);
    if (!S_ISREG(status.st_mode)) return {"is not a regular file", "name a file"};
    if (!is_data) return {};
    // A second name could be anyone's, and what is written here would appear there.
    if (status.st_nlink != 1) return {"has more than one name (hard links)", "remove the others"};
    if (status.st_uid != owner)
        return {fmt::format("belongs to uid {}, not to the workers' uid {}", status.st_uid, owner),
                fmt::format("chown {} it", owner)};
    return {};
}

/// So that a loss of power can't take the new file's name away. Best effort: not every file system
/// can.
void sync(const UniqueFd& folder) {
    const UniqueFd opened(::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.is_open()) ::fsync(opened.get());
}

UniqueFd make_data_file(const Destination& place, DataOwner owner) {
    UniqueFd file(::openat(place.folder.get(), place.name.c_str(),
                           O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, data_file_mode));
    if (file.is_open() && ::geteuid() == 0 && ::fchown(file.get(), owner.user, owner.group) < 0) {
        const int error = errno;
        ::unlinkat(place.folder.get(), place.name.c_str(), 0);
        errno = error;
        return {};
    }
    if (file.is_open()) sync(place.folder);
    return file;
}

/// Says by errno what is wrong; by `unsafe`, if it is the way there.
UniqueFd open_data_file(const std::string& path, int flags, const DataOwner& owner,
                        Problem& unsafe) {
    const Walked place = walk_to(path, Way::straight);
    if (!place) {
        const Obstacle& obstacle = place.error();
        if (obstacle.error == 0)
            unsafe = {fmt::format("'{}' {}", obstacle.part, obstacle.why), obstacle.what_to_do};
        errno = obstacle.error;
        return {};
    }
    UniqueFd file(::openat(place->folder.get(), place->name.c_str(), flags));
    if (!file.is_open() && errno == ENOENT && owner.makes) return make_data_file(*place, owner);
    return file;
}

/// While it lives, files are opened and made with the rights of `owner`. Source: setfsuid(2).
class ActingAs {
  public:
    explicit ActingAs(const DataOwner& owner)
        : was_dumpable_(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1),
          group_(::setfsgid(owner.group)),
          user_(::setfsuid(owner.user)) {}
    ActingAs(const ActingAs&) = delete;
    ActingAs& operator=(const ActingAs&) = delete;
    ~ActingAs() {
        const int error = errno;
        ::setfsuid(static_cast<uid_t>(user_));
        ::setfsgid(static_cast<gid_t>(group_));
        // A change of these ends it, and with it what preforkctl may see of us. prctl(2)
        if (was_dumpable_) ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        errno = error;
    }

  private:
    bool was_dumpable_;
    int group_;
    int user_;
};

/// Never waits: a FIFO in the place of a file must not hold the master.
UniqueFd open_path(const std::string& path, Opens kind, const DataOwner& owner, Problem& unsafe) {
    constexpr int common = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (kind == Opens::folder)
        return UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (kind == Opens::file) return UniqueFd(::open(path.c_str(), O_RDONLY | common));
    const int access = owner.makes ? O_RDWR : O_RDONLY;
    const int flags = access | O_NOFOLLOW | common;
    UniqueFd file = open_data_file(path, flags, owner, unsafe);
    if (file.is_open() || errno != EACCES || ::geteuid() != 0) return file;
    // Root whose capabilities are bounded, as by systemd, must mind modes; its owner may open it.
    const ActingAs acting(owner);
    return open_data_file(path, flags, owner, unsafe);
}

/// What is there, of a disk that is read-only. EROFS if nothing is.
UniqueFd open_to_read(const std::string& path, DataOwner owner, Problem& unsafe) {
    owner.makes = false;
    UniqueFd file = open_path(path, Opens::data_file, owner, unsafe);
    if (!file.is_open() && errno == ENOENT) errno = EROFS;
    return file;
}

bool is_read_only(const UniqueFd& file) {
    return (::fcntl(file.get(), F_GETFL) & O_ACCMODE) == O_RDONLY;
}

/// `may_lack`: what can't be made is not needed.
Problem open_one(const std::string& path, Opens kind, const DataOwner& owner, UniqueFd& opened,
                 bool may_lack) {
    Problem unsafe;
    opened = open_path(path, kind, owner, unsafe);
    if (!opened.is_open() && errno == EROFS && owner.makes) {
        opened = open_to_read(path, owner, unsafe);
        if (!opened.is_open() && errno == EROFS && may_lack) return {};
    }
    if (!opened.is_open()) {
        if (!unsafe.what.empty()) return unsafe;
        if (kind == Opens::data_file && errno == ENOENT && !owner.makes) return {};
        return system_problem(errno);
    }
    if (kind == Opens::folder) return {};
    const bool is_written = kind == Opens::data_file && owner.makes && !is_read_only(opened);
    return regular_file_problem(opened, is_written, owner.user);
}

/// What there is to open for one key: the names under which a worker finds it, and where it is.
std::vector<std::pair<std::string, std::string>> parts_of(const KeySpec& key,
                                                          const std::string& path) {
    if (key.opens != Opens::data_with_lock) return {{key.name, path}};
    return {{key.name, path}, {key.name + "-lock", path + "-lock"}};
}

/// Of a file that is only read.
Problem read_problem(int number) {
    const Problem problem = system_problem(number);
    if (number == ENOENT || number == EACCES) return problem;
    const std::string text = error_code(number, boost::system::system_category()).message();
    return {text, "correct the path"};
}

/// /dev/null is how one says: none.
bool is_null_device(const struct stat& status) noexcept {
    return S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(1, 3);
}

/// A file as it was read, or why it could not be.
struct ReadFile {
    std::string content;
    Problem problem;
    bool is_absent = false;
};

/// Never waits, as open_path().
ReadFile read_file(const std::string& path, std::uint64_t limit) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (!file.is_open() || ::fstat(file.get(), &status) < 0)
        return {{}, read_problem(errno), errno == ENOENT};
    if (!S_ISREG(status.st_mode) && !is_null_device(status))
        return {{}, {"is not a regular file", "name a file"}};
    auto text = read_all(file, limit);
    if (text) return {std::move(*text), {}};
    if (text.error().value() != EFBIG) return {{}, read_problem(text.error().value())};
    return {{},
            {fmt::format("is larger than {}", render_value(ByteCount{limit})),
             "make it smaller, or name another file"}};
}

/// What a key expects of the content of its file.
Problem content_problem(const CopiedFile& rules, std::string_view content) {
    const ContentProblem found = rules.check ? rules.check(content) : ContentProblem{};
    if (found.what.empty()) return {};
    const std::string where = found.line == 0 ? "" : fmt::format("line {}: ", found.line);
    return {where + found.what, "correct the file, or name another"};
}

/// Reads files that are to be copied, each once, however often it is named.
class CopiedFiles {
  public:
    /// Adds a copy, unless the file is absent and `may_be_absent`.
    Problem add(FileCopy copy, const CopiedFile& rules, const std::string& path,
                bool may_be_absent) {
        const auto [known, is_new] = files_.try_emplace({path, rules.limit.value});
        ReadFile& file = known->second;
        if (is_new) file = read_file(path, rules.limit.value);
        if (file.is_absent && may_be_absent) return {};
        if (!file.problem.what.empty()) return file.problem;
        if (Problem problem = content_problem(rules, file.content); !problem.what.empty())
            return problem;
        copy.content = file.content;
        copies_.push_back(std::move(copy));
        return {};
    }

    [[nodiscard]] std::string encoded() const {
        return copies_.empty() ? std::string() : encode_copies(copies_);
    }

  private:
    std::map<std::pair<std::string, std::uint64_t>, ReadFile> files_;  ///< by path and limit
    std::vector<FileCopy> copies_;
};

const ServiceSpec* find_service(const std::vector<ServiceSpec>& services, const std::string& name) {
    const auto found = std::find_if(services.begin(), services.end(),
                                    [&](const ServiceSpec& spec) { return spec.name == name; });
    return found == services.end() ? nullptr : &*found;
}

/// Calls `visit` with each listener's number, the listener, and each key of its service that has
/// values there.
template <class Visit>
void for_each_setting(const Config& config, const std::vector<ServiceSpec>& services, Visit visit) {
    for (std::uint32_t index = 0; index < config.listeners.size(); ++index) {
        const ListenSection& section = config.listeners[index];
        const ServiceSpec* const service = find_service(services, section.service);
        if (service == nullptr) continue;
        for (const KeySpec& key : service->keys)
            if (const Setting* const setting = section.find(key.name);
                setting != nullptr && !setting->values.empty())
                visit(index, section, key, *setting);
    }
}

}  // namespace

std::vector<OpenedPath> open_service_paths(const Config& config,
                                           const std::vector<ServiceSpec>& services,
                                           DataOwner owner, Faults& faults) {
    std::vector<OpenedPath> paths;
    for_each_setting(
        config, services,
        [&](std::uint32_t index, const ListenSection& section, const KeySpec& key,
            const Setting& setting) {
            if (key.opens == Opens::nothing || setting.values.front().empty()) return;
            const Origin origin = setting.origins.empty() ? Origin{} : setting.origins.front();
            const Opens kind = key.opens == Opens::data_with_lock ? Opens::data_file : key.opens;
            Problem before;  // one that lies on the way to both is told once
            bool may_lack = false;
            for (const auto& [name, path] : parts_of(key, setting.values.front())) {
                OpenedPath opened{index, name, {}};
                const Problem problem = open_one(path, kind, owner, opened.descriptor, may_lack);
                const bool is_open = opened.descriptor.is_open();
                // Where nobody can write, nobody needs a lock.
                may_lack = owner.makes && is_open && is_read_only(opened.descriptor);
                if (!problem.what.empty() && (is_open || problem.what != before.what))
                    faults.push_back({origin, "listen." + section.name,
                                      fmt::format("{} '{}': {}", key.name, path, problem.what),
                                      problem.hint});
                if (problem.what.empty() && is_open) paths.push_back(std::move(opened));
                before = problem;
            }
        });
    return paths;
}

std::string copy_service_files(const Config& config, const std::vector<ServiceSpec>& services,
                               Faults& faults) {
    CopiedFiles files;
    for_each_setting(
        config, services,
        [&](std::uint32_t index, const ListenSection& section, const KeySpec& key,
            const Setting& setting) {
            if (!key.copied) return;
            const bool is_default = setting.values == key.default_texts;
            for (std::uint32_t number = 0; number < setting.values.size(); ++number) {
                const std::string path = key.file_in(setting.values[number]).native();
                if (path.empty()) continue;
                const Problem problem =
                    files.add({index, key.name, number, {}}, *key.copied, path, is_default);
                if (problem.what.empty()) continue;
                faults.push_back(
                    {number < setting.origins.size() ? setting.origins[number] : Origin{},
                     "listen." + section.name,
                     fmt::format("{} '{}': {}", key.name, path, problem.what), problem.hint});
            }
        });
    return files.encoded();
}

}  // namespace preforkd::master
