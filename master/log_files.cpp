#include "master/log_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/null_device.hpp"
#include "shared/exit_code.hpp"
#include "shared/result.hpp"

namespace preforkd::master {
namespace {

constexpr int appending =
    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
constexpr mode_t log_mode = 0640;

[[noreturn]] void refuse(const std::string& path, const std::string& why,
                         const std::string& what_to_do) {
    throw StartupError(exit_failure,
                       fmt::format("can't open log '{}': {}\n    {}", path, why, what_to_do));
}

/// Whether nobody but root and us can put a file of theirs where `path` is.
bool folder_is_ours(const std::filesystem::path& path) {
    struct stat status {};
    if (::stat(path.parent_path().c_str(), &status) < 0) return false;
    const bool owned = status.st_uid == 0 || status.st_uid == ::geteuid();
    return owned && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

void make_folder_if_absent(const std::filesystem::path& path) {
    const std::filesystem::path folder = path.parent_path();
    if (::mkdir(folder.c_str(), 0750) < 0 && errno != EEXIST)
        refuse(path, fmt::format("can't make its folder: {}", last_error().message()),
               "make the folder, or name another file");
}

void check_opened(const std::string& path, const UniqueFd& file) {
    struct stat status {};
    if (::fstat(file.get(), &status) < 0) refuse(path, last_error().message(), "name a file");
    const bool can_be_written =
        S_ISREG(status.st_mode) || S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode);
    if (!can_be_written) refuse(path, "is not a file", "name a file, a FIFO or a terminal");
    if (folder_is_ours(path)) return;
    if (S_ISREG(status.st_mode) && status.st_nlink != 1)
        refuse(path, "has several names (hard links) in a folder that others can write",
               "remove it, or use a folder of root's");
    if (status.st_uid != 0 && status.st_uid != ::geteuid())
        refuse(path,
               fmt::format("belongs to uid {} in a folder that others can write", status.st_uid),
               "remove it, or use a folder of root's");
}

UniqueFd open_file(const std::filesystem::path& path) {
    make_folder_if_absent(path);
    UniqueFd file(::open(path.c_str(), appending, log_mode));
    // A link to /dev/stdout in a folder of root's is what container images do.
    if (!file.is_open() && errno == ELOOP && folder_is_ours(path))
        file.reset(::open(path.c_str(), appending & ~O_NOFOLLOW, log_mode));
    if (!file.is_open()) {
        switch (errno) {
            case ELOOP:
                refuse(path, "is a symbolic link in a folder that others can write",
                       "remove it, or use a folder of root's");
            case ENXIO:
                refuse(path, "is a FIFO that nobody reads", "start its reader first");
            case EISDIR:
                refuse(path, "is a folder", "name a file in it");
            default:
                refuse(path, last_error().message(), "name a file that this user can write");
        }
    }
    check_opened(path, file);
    return file;
}

/// The connected socket keeps working for workers whose sandbox lets them make none.
UniqueFd open_syslog(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open() ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        refuse(path, last_error().message(), "is a system log running? else name a file");
    return socket;
}

UniqueFd copy_of(int descriptor) {
    return UniqueFd(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
}

UniqueFd open_target(const LogTarget& target, const LogSurroundings& surroundings) {
    switch (target.kind) {
        case LogTarget::Kind::file:
            return open_file(target.path);
        case LogTarget::Kind::syslog:
            return open_syslog(surroundings.syslog_path);
        case LogTarget::Kind::automatic:
        case LogTarget::Kind::standard_error:
            return copy_of(surroundings.standard_error);
        case LogTarget::Kind::off:
            break;
    }
    return open_null_device(O_WRONLY);
}

LogStyle style_of(const LogTarget& target) {
    if (target.kind == LogTarget::Kind::syslog) return LogStyle::syslog;
    if (target.kind == LogTarget::Kind::standard_error) return style_of_stderr();
    return LogStyle::plain;
}

}  // namespace

SavedLogs save(const LogFiles& logs) {
    return {descriptor_of(logs.error), logs.error_style, descriptor_of(logs.output),
            descriptor_of(logs.access)};
}

LogFiles restore(const SavedLogs& saved) {
    return {UniqueFd(saved.error.number), saved.error_style, UniqueFd(saved.output.number),
            UniqueFd(saved.access.number)};
}

LogFiles open_logs(const Config& config, const LogSurroundings& surroundings) {
    const LogTarget errors = error_log_of(config, surroundings.foreground, ::geteuid());
    const LogTarget output = output_log_of(config, surroundings.foreground, ::geteuid());
    LogFiles logs;
    logs.error = open_target(errors, surroundings);
    logs.error_style = style_of(errors);
    logs.output = output == errors ? copy_of(logs.error.get()) : open_target(output, surroundings);
    if (config.access_log.kind == LogTarget::Kind::file)
        logs.access = open_file(config.access_log.path);
    for (const UniqueFd* log : {&logs.error, &logs.output})
        if (!log->is_open())
            throw StartupError(exit_failure, "can't open the logs: " + last_error().message());
    return logs;
}

}  // namespace preforkd::master
