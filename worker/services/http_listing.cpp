#include "worker/services/http_listing.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <optional>

#include "shared/syscalls.hpp"

namespace preforkd::worker::http {
namespace {

struct CloseFolder {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

bool can_be_asked_for(const std::string& name, bool at_root, const FileRules& rules) {
    if (name == "." || name == ".." || !is_valid_utf8(name)) return false;
    for (const char byte : name)
        if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f) return false;
    return name.front() != '.' || rules.serve_dotfiles || (at_root && name == ".well-known");
}

/// What a symlink leads to, if that may be served.
bool follow(const UniqueFd& root, const std::string& path, struct stat& status) noexcept {
    const Result<UniqueFd> target = open_beneath(root, path.c_str(), O_PATH);
    return target && ::fstat(target->get(), &status) == 0;
}

std::optional<ListingEntry> describe(const UniqueFd& root, int folder, std::string_view path,
                                     std::string name, const FileRules& rules) {
    struct stat status {};
    if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) return {};
    if (S_ISLNK(status.st_mode)) {
        const std::string full = path.empty() ? name : std::string(path) + "/" + name;
        if (!rules.follow_symlinks || !follow(root, full, status)) return {};
    }
    const bool is_folder = S_ISDIR(status.st_mode);
    if (!is_folder && !S_ISREG(status.st_mode)) return {};
    return ListingEntry{std::move(name), is_folder, static_cast<std::uint64_t>(status.st_size),
                        status.st_mtim.tv_sec};
}

}  // namespace

Result<FolderContent> read_folder(const UniqueFd& root, UniqueFd folder, std::string_view path,
                                  const FileRules& rules) {
    const Folder stream(::fdopendir(folder.get()));
    if (!stream) return last_error();
    const int descriptor = folder.release();  // closedir() closes it
    FolderContent content;
    for (;;) {
        errno = 0;
        const dirent* const entry = ::readdir(stream.get());
        if (entry == nullptr && errno != 0) return last_error();
        if (entry == nullptr) return content;
        std::string name = entry->d_name;
        if (!can_be_asked_for(name, path.empty(), rules)) continue;
        if (content.entries.size() == most_listed) {
            content.is_cut = true;
            return content;
        }
        if (auto described = describe(root, descriptor, path, std::move(name), rules))
            content.entries.push_back(std::move(*described));
    }
}

}  // namespace preforkd::worker::http
