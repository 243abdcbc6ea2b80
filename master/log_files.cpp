#include "master/log_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "master/callers_stderr.hpp"
#include "master/null_device.hpp"
#include "master/read_only_hint.hpp"
#include "master/walk.hpp"
#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

constexpr int appending =
    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
constexpr mode_t log_mode = 0640;

/// A log that is to be opened: its key in the configuration, and where it lies.
struct Log {
    const char* key;
    std::filesystem::path path;
};

[[noreturn]] void refuse(const Log& log, const std::string& why, const std::string& what_to_do) {
    throw StartupError(exit_failure, fmt::format("can't open {} '{}': {}\n    {}", log.key,
                                                 log.path.string(), why, what_to_do));
}

/// What to do when the system refuses to make or open it.
std::string advice_on(int error) {
    switch (error) {
        case EROFS:
            return read_only_hint;
        case EACCES:
        case EPERM:
            return "name a file that this user can write";
        case EMFILE:
            return "raise the limit on open files (ulimit -n, LimitNOFILE=)";
        case ENOSPC:
        case EDQUOT:
            return "make room there, or name a file on another disk";
        default:
            return "name another file";
    }
}

Walked walk(const Log& log, LastLink last) {
    return walk_to(log.path.string(), Way::straight, last);
}

[[noreturn]] void refuse(const Log& log, const Obstacle& obstacle) {
    if (obstacle.error == 0)
        refuse(log, fmt::format("'{}' {}", obstacle.part, obstacle.why), obstacle.what_to_do);
    if (obstacle.error == ENOENT)
        refuse(log, fmt::format("the folder '{}' does not exist", obstacle.part),
               "make it beforehand or correct the path");
    refuse(log, obstacle.why, advice_on(obstacle.error));
}

/// Only those that logs lie in by default: any other is its owner's business, and an absent one is
/// mostly a slip of the pen.
void make_own_folder_if_absent(const Log& log, const Config& config) {
    Config without;
    without.program = config.program;
    without.runtime_dir = config.runtime_dir;
    const auto by_default = error_log_of(without, /*foreground=*/false, ::geteuid()).path;
    const std::filesystem::path folder = log.path.parent_path();
    if (folder != by_default.parent_path() && folder != config.runtime_dir) return;
    const Walked made = walk_to(folder.string(), Way::straight);
    if (made && (::mkdirat(made->folder.get(), made->name.c_str(), 0750) == 0 || errno == EEXIST))
        return;
    if (!made && made.error().error == 0) refuse(log, made.error());
    const int error = made ? errno : made.error().error;
    refuse(log, fmt::format("can't make its folder: {}", std::strerror(error)), advice_on(error));
}

void check_opened(const Log& log, const UniqueFd& file, bool is_ours) {
    struct stat status {};
    if (::fstat(file.get(), &status) < 0) refuse(log, last_error().message(), "name a file");
    const bool can_be_written =
        S_ISREG(status.st_mode) || S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode);
    if (!can_be_written) refuse(log, "is not a file", "name a file, a FIFO or a terminal");
    if (is_ours) return;
    if (S_ISREG(status.st_mode) && status.st_nlink != 1)
        refuse(log, "has several names (hard links) in a folder that others can write",
               "remove it, or use a folder of root's");
    if (status.st_uid != 0 && status.st_uid != ::geteuid())
        refuse(log,
               fmt::format("belongs to uid {} in a folder that others can write", status.st_uid),
               "remove it, or use a folder of root's");
}

UniqueFd open_at(const Walked& walked) {
    if (!walked) return {};
    const int flags = walked->is_magic ? appending & ~O_NOFOLLOW : appending;
    return UniqueFd(::openat(walked->folder.get(), walked->name.c_str(), flags, log_mode));
}

UniqueFd open_file(const Log& log, const Config& config) {
    make_own_folder_if_absent(log, config);
    Walked walked = walk(log, LastLink::kept);
    UniqueFd file = open_at(walked);
    // A link to /dev/stdout in a folder of root's is what container images do.
    if (walked && !file.is_open() && errno == ELOOP && walked->is_ours) {
        walked = walk(log, LastLink::followed);
        file = open_at(walked);
    }
    if (!walked) refuse(log, walked.error());
    if (!file.is_open()) {
        switch (errno) {
            case ELOOP:
                refuse(log, "is a symbolic link in a folder that others can write",
                       "remove it, or use a folder of root's");
            case ENXIO:
                refuse(log, "is a FIFO that nobody reads", "start its reader first");
            case EISDIR:
                refuse(log, "is a folder", "name a file in it");
            default: {
                const int error = errno;
                refuse(log, std::strerror(error), advice_on(error));
            }
        }
    }
    check_opened(log, file, walked->is_ours);
    return file;
}

error_code connect_to_syslog(const UniqueFd& socket, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const auto* const name = reinterpret_cast<const sockaddr*>(&address);
    return ::connect(socket.get(), name, sizeof address) < 0 ? last_error() : error_code{};
}

/// The connected socket keeps working for workers whose sandbox lets them make none.
UniqueFd open_syslog(const Log& log) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const error_code error = socket.is_open() ? connect_to_syslog(socket, log.path) : last_error();
    if (error) refuse(log, error.message(), "is a system log running? else name a file");
    return socket;
}

UniqueFd copy_of(int descriptor) {
    return UniqueFd(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
}

UniqueFd open_target(const char* key, const LogTarget& target, const Config& config,
                     const LogSurroundings& surroundings) {
    switch (target.kind) {
        case LogTarget::Kind::file:
            return open_file({key, target.path}, config);
        case LogTarget::Kind::syslog:
            return open_syslog({key, surroundings.syslog_path});
        case LogTarget::Kind::automatic:
        case LogTarget::Kind::standard_error:
            return open_as_log(surroundings.standard_error);
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

error_code reconnect(const LogFiles& logs, const LogSurroundings& surroundings) {
    if (logs.error_style != LogStyle::syslog) return {};
    return connect_to_syslog(logs.error, surroundings.syslog_path);
}

LogFiles open_logs(const Config& config, const LogSurroundings& surroundings) {
    const LogTarget errors = error_log_of(config, surroundings.foreground, ::geteuid());
    const LogTarget output = output_log_of(config, surroundings.foreground, ::geteuid());
    const auto require = [](const UniqueFd& log) {
        if (!log.is_open())
            throw StartupError(exit_failure,
                               "can't open the logs: " + with_limit_advice(last_error()));
    };
    LogFiles logs;
    logs.error = open_target("error_log", errors, config, surroundings);
    require(logs.error);
    logs.error_style = style_of(errors);
    logs.output = output == errors ? copy_of(logs.error.get())
                                   : open_target("output_log", output, config, surroundings);
    require(logs.output);
    if (config.access_log.kind == LogTarget::Kind::file)
        logs.access = open_file({"access_log", config.access_log.path}, config);
    return logs;
}

}  // namespace preforkd::master
