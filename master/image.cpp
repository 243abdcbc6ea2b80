#include "master/image.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <filesystem>

#include "master/folders.hpp"
#include "shared/exit_code.hpp"
#include "shared/result.hpp"

namespace preforkd::master {
namespace {

constexpr const char* own_image = "/proc/self/exe";

bool is_own_image(const std::string& path) noexcept {
    struct stat found {
    }, own{};
    return ::stat(path.c_str(), &found) == 0 && ::stat(own_image, &own) == 0 &&
           found.st_dev == own.st_dev && found.st_ino == own.st_ino;
}

std::string absolute(const std::string& folder, std::string_view name) {
    return (std::filesystem::path(folder) / name).lexically_normal();
}

/// As execvp(3) looks for it.
std::string search(const std::string& name, const std::string& folder,
                   std::string_view search_path) {
    while (!search_path.empty()) {
        const std::size_t end = std::min(search_path.find(':'), search_path.size());
        const std::string place = absolute(folder, search_path.substr(0, end));
        if (std::string path = absolute(place, name); is_own_image(path)) return path;
        search_path.remove_prefix(std::min(end + 1, search_path.size()));
    }
    return {};
}

[[noreturn]] void refuse(const std::string& path, const std::string& why,
                         const std::string& what_to_do) {
    throw StartupError(exit_failure, fmt::format("{}: {}\n    {}", path, why, what_to_do));
}

void require_program(const std::string& path, const Image& image) {
    if (!S_ISREG(image.status.st_mode)) refuse(path, "is no regular file", "put a program there");
    std::array<char, 4> mark{};
    const std::array<char, 4> elf{'\x7f', 'E', 'L', 'F'};
    const ssize_t got = ::pread(image.file.get(), mark.data(), mark.size(), 0);
    if (got != static_cast<ssize_t>(mark.size()) || mark != elf)
        refuse(path, "is no program (no ELF file)", "put a program there, not a script around it");
}

/// What is executed here has all that we may.
void require_trusted(const std::string& path, const struct stat& status) {
    if (::geteuid() != 0) return;
    if (status.st_uid != 0)
        refuse(path,
               fmt::format("belongs to uid {}; root executes only what is root's", status.st_uid),
               "chown root it");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        refuse(path, fmt::format("has mode {:04o}, others can write to it", status.st_mode & 07777),
               "chmod go-w it");
    (void)require_safe_way_to(path, "program", LastLink::followed);
}

}  // namespace

UniqueFd open_own_image() {
    UniqueFd image(::open(own_image, O_RDONLY | O_CLOEXEC));
    if (!image.is_open())
        throw StartupError(exit_failure, "can't open our own program by /proc/self/exe: " +
                                             last_error().message() + "\n    mount /proc");
    return image;
}

std::string image_path_of(const std::string& name, const std::string& folder,
                          std::string_view search_path) {
    if (name.find('/') != std::string::npos) {
        if (std::string path = absolute(folder, name); is_own_image(path)) return path;
    } else if (std::string path = search(name, folder, search_path); !path.empty()) {
        return path;
    }
    char target[PATH_MAX];
    const ssize_t length = ::readlink(own_image, target, sizeof target);
    return length < 0 ? std::string() : std::string(target, static_cast<std::size_t>(length));
}

bool Image::is_unchanged() const noexcept {
    struct stat now {};
    return ::fstat(file.get(), &now) == 0 && now.st_size == status.st_size &&
           now.st_mode == status.st_mode && now.st_uid == status.st_uid &&
           now.st_mtim.tv_sec == status.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == status.st_mtim.tv_nsec;
}

Image open_image(const std::string& path, const std::optional<Credentials>& credentials) {
    Image image;
    // A FIFO in the file's place must not hold us.
    image.file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!image.file.is_open())
        refuse(path, "can't open it: " + last_error().message(), "put the new program there");
    if (::fstat(image.file.get(), &image.status) < 0)
        refuse(path, "can't look at it: " + last_error().message(), "put the new program there");
    require_program(path, image);
    require_trusted(path, image.status);
    if (credentials) require_executable_by(*credentials, image.file);
    if (::faccessat(image.file.get(), "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
        refuse(path, "may not be executed: " + last_error().message(), "chmod a+x it");
    return image;
}

}  // namespace preforkd::master
