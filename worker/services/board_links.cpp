#include "worker/services/board_links.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string_view>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"

namespace preforkd::worker::board {
namespace {

constexpr std::string_view prefix = "preforkd-board-";

struct CloseFolder {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

/// Belongs to us, and has not been removed.
bool is_ours(const UniqueFd& folder) noexcept {
    struct stat status {};
    return ::fstat(folder.get(), &status) == 0 && status.st_uid == ::geteuid() &&
           status.st_nlink != 0;
}

/// The folder of that name, if it is ours and nobody who lives holds it: its maker locks it, and
/// the kernel ends that with the maker. Source: flock(2).
UniqueFd take_folder(const std::string& path) noexcept {
    UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    // Asked twice, for whoever held it may have removed it before that lock ended.
    const bool is_taken = folder.is_open() && is_ours(folder) &&
                          ::flock(folder.get(), LOCK_EX | LOCK_NB) == 0 && is_ours(folder);
    return is_taken ? std::move(folder) : UniqueFd();
}

void remove(const std::string& path, const UniqueFd& folder) noexcept {
    ::unlinkat(folder.get(), "board", 0);
    ::unlinkat(folder.get(), "board-lock", 0);
    ::rmdir(path.c_str());
}

void remove_orphans(const std::string& place) {
    const std::unique_ptr<DIR, CloseFolder> entries(::opendir(place.c_str()));
    while (const dirent* const entry = entries ? ::readdir(entries.get()) : nullptr) {
        if (!std::string_view(entry->d_name).starts_with(prefix)) continue;
        const std::string path = place + "/" + entry->d_name;
        if (const UniqueFd folder = take_folder(path); folder.is_open()) remove(path, folder);
    }
}

/// Taken, and its name in `path`; not open if it can't be made there.
UniqueFd make_folder(const std::string& place, std::string& path) {
    // Somebody may take it for an orphan, and remove it, before we have locked it.
    for (int tries = 0; tries < 10; ++tries) {
        path = fmt::format("{}/{}XXXXXX", place, prefix);
        if (::mkdtemp(path.data()) == nullptr) break;
        if (UniqueFd folder = take_folder(path); folder.is_open()) return folder;
        const int error = errno;
        ::rmdir(path.c_str());
        errno = error;
    }
    return {};
}

bool link_to(int descriptor, const UniqueFd& folder, const char* name) {
    const std::string target = fmt::format("/proc/self/fd/{}", descriptor);
    return ::symlinkat(target.c_str(), folder.get(), name) == 0;
}

}  // namespace

DescriptorLinks::DescriptorLinks(int data, int lock) {
    for (const char* const place : {"/tmp", "/dev/shm"}) {
        remove_orphans(place);
        folder_ = make_folder(place, folder_path_);
        if (folder_.is_open()) break;
    }
    if (!folder_.is_open())
        throw StartupError(exit_failure,
                           fmt::format("can't make a folder in /tmp or /dev/shm to name the "
                                       "board's files in: {}",
                                       last_error().message()));
    path_ = folder_path_ + "/board";
    if (link_to(data, folder_, "board") && link_to(lock, folder_, "board-lock")) return;
    const auto error = last_error();
    remove(folder_path_, folder_);
    throw StartupError(exit_failure, fmt::format("{}: {}", folder_path_, error.message()));
}

DescriptorLinks::~DescriptorLinks() {
    remove(folder_path_, folder_);
}

}  // namespace preforkd::worker::board
