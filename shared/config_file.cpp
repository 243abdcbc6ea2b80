#include "shared/config_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "shared/syscalls.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd {
namespace {

using std::filesystem::path;

std::string what_to_do_about(int error) {
    switch (error) {
        case ENOENT:
            return "create it, or name another with -c FILE";
        case EACCES:
            return "let this user read it and enter its folders, or start as another";
        case ELOOP:
            return "its symbolic links lead in a circle";
        default:
            return {};
    }
}

std::string kind_of(mode_t mode) {
    if (S_ISDIR(mode)) return "is a folder";
    if (S_ISFIFO(mode)) return "is a pipe";
    if (S_ISSOCK(mode)) return "is a socket";
    return "is a device";
}

/// The folder that really holds the open file, whatever links led there. Source: proc(5),
/// /proc/PID/fd. Without /proc, the folder of the path we were given.
path real_folder(const UniqueFd& fd, const path& file) {
    std::error_code error;
    const path real =
        std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", fd.get()), error);
    return error ? file.parent_path() : real.parent_path();
}

/// The reason for root not to believe the file, or nothing.
Faults distrust(const UniqueFd& fd, const struct stat& status, const path& file) {
    Faults faults;
    const auto report = [&](const path& where, const std::string& writer) {
        faults.push_back({{file.string(), 0},
                          {},
                          fmt::format("root can't trust {}: {}", where.string(), writer),
                          fmt::format("chown root '{0}' && chmod go-w '{0}'", where.string())});
    };
    if (const std::string writer = other_writer(status); !writer.empty()) report(file, writer);
    const path folder = real_folder(fd, file);
    struct stat folder_status {};
    if (::stat(folder.c_str(), &folder_status) < 0)
        report(folder, fmt::format("it can't be examined: {}", std::strerror(errno)));
    else if (const std::string writer = other_writer(folder_status); !writer.empty())
        report(folder, writer);
    return faults;
}

}  // namespace

std::string other_writer(const struct stat& status) {
    if (status.st_uid != 0) return fmt::format("user {} owns it", status.st_uid);
    if (status.st_mode & S_IWOTH) return "everyone can write it";
    if (status.st_mode & S_IWGRP) return fmt::format("group {} can write it", status.st_gid);
    return {};
}

std::string read_config_file(const path& file, uid_t effective_uid, Faults& faults) {
    const auto fail = [&](std::string what, std::string hint) {
        faults.push_back({{file.string(), 0}, {}, std::move(what), std::move(hint)});
        return std::string();
    };
    const auto fail_with = [&](int error) {
        return fail(fmt::format("cannot read it: {}", std::strerror(error)),
                    what_to_do_about(error));
    };
    // O_NONBLOCK: a FIFO must not keep us waiting for a writer.
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd.is_open()) return fail_with(errno);
    struct stat status {};
    if (::fstat(fd.get(), &status) < 0) return fail_with(errno);
    if (!S_ISREG(status.st_mode))
        return fail(fmt::format("it {}, not a file", kind_of(status.st_mode)),
                    "a reload reads it again, so it must be a regular file");
    if (effective_uid == 0) {
        Faults doubts = distrust(fd, status, file);
        faults.insert(faults.end(), doubts.begin(), doubts.end());
        if (!doubts.empty()) return {};
    }
    const Result<std::string> text = read_all(fd, largest_file);
    if (text) return *text;
    if (text.error() == boost::system::errc::file_too_large)
        return fail(fmt::format("it is larger than {} KiB", largest_file / 1024),
                    "is this really a configuration file?");
    return fail_with(text.error().value());
}

}  // namespace preforkd
