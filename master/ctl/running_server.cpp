#include "master/ctl/running_server.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

#include "master/lock_file.hpp"
#include "shared/exit_code.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::ctl {
namespace {

constexpr int status_dead = 1;
constexpr int status_stopped = 3;
constexpr int status_unknown = 4;

std::string link_of(const std::string& path) {
    std::error_code error;
    return std::filesystem::read_symlink(path, error).string();
}

bool is_memory_named(const std::string& link, const char* name) {
    return link == fmt::format("/memfd:{} (deleted)", name);
}

NoServer not_running(const std::filesystem::path& lock_file) {
    return {exit_not_running, status_stopped,
            fmt::format("not running: there is no lock file '{}'\n"
                        "    root's server has /run/preforkd/preforkd.pid, bbserve "
                        "/run/bbserve/bbserve.pid: -p LOCKFILE",
                        lock_file.string())};
}

NoServer not_permitted(Pid pid) {
    return {exit_no_privilege, status_unknown,
            fmt::format("pid {} runs, but this user may not look into it\n"
                        "    run preforkctl as root, or as the user that started it",
                        pid.value)};
}

NoServer another_program(Pid pid) {
    return {exit_failure, status_unknown,
            fmt::format("pid {} holds the lock, but this preforkctl {} can't find its state\n"
                        "    it is another version, or another program; to stop it: kill -TERM {}",
                        pid.value, PREFORKD_VERSION, pid.value)};
}

/// Source: shared/scoreboard.hpp: every version's memory begins with its number.
NoServer another_version(Pid pid, const UniqueFd& memory) {
    std::uint32_t version = 0;
    const bool is_read = ::pread(memory.get(), &version, sizeof version, 0) == sizeof version;
    return {
        exit_failure, status_unknown,
        fmt::format("pid {} is another version of preforkd: its scoreboard is of version {}, this "
                    "preforkctl {} reads version {}\n"
                    "    use the preforkctl that was installed with it; to stop it: kill -TERM {}",
                    pid.value, is_read ? std::to_string(version) : "?", PREFORKD_VERSION,
                    scoreboard_version, pid.value)};
}

NoServer has_ended(Pid pid) {
    return {exit_not_running, status_stopped,
            fmt::format("pid {} has ended meanwhile\n"
                        "    its error log says why",
                        pid.value)};
}

UniqueFd open_lock(const std::filesystem::path& lock_file) {
    UniqueFd lock(::open(lock_file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat status {};
    if (lock.is_open() && ::fstat(lock.get(), &status) == 0 && !S_ISREG(status.st_mode))
        throw NoServer(exit_usage, status_unknown,
                       fmt::format("'{}' is no lock file, but a folder or a device\n"
                                   "    name the file: -p FOLDER/PROGRAM.pid",
                                   lock_file.string()));
    if (lock.is_open()) return lock;
    if (errno == ENOENT || errno == ENOTDIR) throw not_running(lock_file);
    throw NoServer(exit_no_privilege, status_unknown,
                   fmt::format("can't open lock file '{}': {}\n"
                               "    run preforkctl as root, or as the user that started the "
                               "server",
                               lock_file.string(), last_error().message()));
}

/// Whether somebody holds it. Our own lock, if we get it, is given back at once.
bool is_held(const UniqueFd& lock) {
    if (::flock(lock.get(), LOCK_SH | LOCK_NB) < 0) return true;
    ::flock(lock.get(), LOCK_UN);
    return false;
}

struct CloseFolder {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

/// The server's memory of that name. Errors: EACCES, EPERM  not ours to see; ESRCH  it has none.
Result<UniqueFd> find_memory(Pid pid, const char* name) {
    const std::string path = fmt::format("/proc/{}/fd", pid.value);
    const Folder folder(::opendir(path.c_str()));
    if (!folder) return last_error();
    while (const dirent* const entry = ::readdir(folder.get())) {
        const std::string file = path + "/" + entry->d_name;
        if (!is_memory_named(link_of(file), name)) continue;
        UniqueFd memory(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
        if (memory.is_open()) return memory;
    }
    return error_code(ESRCH, boost::system::system_category());
}

UniqueFd find_worker_page(Pid pid, const WorkerEntry& entry) {
    const std::string file = fmt::format("/proc/{}/fd/{}", pid.value, entry.descriptor);
    if (!is_memory_named(link_of(file), worker_page_name)) return {};
    return UniqueFd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
}

/// User and system time so far in nanoseconds; nothing when it can't be seen.
/// Source: proc(5), /proc/pid/stat, fields 14 and 15.
std::optional<std::uint64_t> cpu_of(std::int32_t pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    std::uint64_t user = 0, system = 0;
    if (!(fields >> user >> system)) return std::nullopt;
    const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    return (user + system) * (1'000'000'000 / per_second);
}

/// Source: proc(5), /proc/pid/statm, field 2.
std::optional<std::uint64_t> memory_of(std::int32_t pid) {
    std::ifstream file(fmt::format("/proc/{}/statm", pid));
    std::uint64_t size = 0, resident = 0;
    if (!(file >> size >> resident)) return std::nullopt;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::filesystem::path default_lock_file() {
    if (::geteuid() == 0) return "/run/preforkd/preforkd.pid";
    const char* const folder = std::getenv("XDG_RUNTIME_DIR");
    if (folder != nullptr && *folder == '/')
        return std::filesystem::path(folder) / "preforkd/preforkd.pid";
    return fmt::format("/tmp/preforkd-{}/preforkd.pid", ::geteuid());
}

RunningServer RunningServer::find(const std::filesystem::path& lock_file) {
    const UniqueFd lock = open_lock(lock_file);
    if (!is_held(lock))
        throw NoServer(exit_not_running, status_dead,
                       fmt::format("not running: nobody holds the lock file '{}', which a crash "
                                   "left\n    start the server; the file does no harm",
                                   lock_file.string()));
    const std::optional<Pid> pid = master::find_lock_holder(lock);
    if (!pid)
        throw NoServer(exit_no_privilege, status_unknown,
                       fmt::format("'{}' is locked, but by whom can't be seen from here\n"
                                   "    run preforkctl as root, outside of containers",
                                   lock_file.string()));
    auto pidfd = open_pidfd(*pid);
    if (!pidfd) throw has_ended(*pid);
    RunningServer server(*pid, std::move(*pidfd));
    server.open();
    return server;
}

void RunningServer::open() {
    auto reader = open_scoreboard();
    if (reader) {
        reader_ = std::move(*reader);
        return;
    }
    const int error = reader.error().value();
    if (error == EACCES || error == EPERM) throw not_permitted(pid_);
    if (wait_for_end(milliseconds(0))) throw has_ended(pid_);
    if (const auto memory = find_memory(pid_, master_page_name); memory && error == EPROTO)
        throw another_version(pid_, *memory);
    throw another_program(pid_);
}

Result<ScoreboardReader> RunningServer::open_scoreboard() const {
    const auto memory = find_memory(pid_, master_page_name);
    if (!memory) return memory.error();
    return ScoreboardReader::open(
        *memory, [pid = pid_](const WorkerEntry& entry) { return find_worker_page(pid, entry); });
}

Snapshot RunningServer::read() {
    auto snapshot = reader_->read();
    if (wait_for_end(milliseconds(0))) throw has_ended(pid_);
    if (!snapshot)
        throw NoServer(exit_failure, status_unknown,
                       fmt::format("pid {} was stopped in the middle of a change, so its state "
                                   "can't be read\n    is it being debugged? kill -CONT {}",
                                   pid_.value, pid_.value));
    add_what_proc_knows(*snapshot);
    return std::move(*snapshot);
}

std::optional<Snapshot> RunningServer::read_anew() {
    auto reader = open_scoreboard();
    if (!reader) return std::nullopt;
    reader_ = std::move(*reader);
    auto snapshot = reader_->read();
    if (!snapshot) return std::nullopt;
    add_what_proc_knows(*snapshot);
    return std::move(*snapshot);
}

/// Workers write their own numbers once a second at most, and not at all while they are idle.
void RunningServer::add_what_proc_knows(Snapshot& snapshot) const {
    for (WorkerView& worker : snapshot.workers) {
        if (const auto cpu = cpu_of(worker.entry.pid)) worker.cpu = *cpu;
        if (const auto memory = memory_of(worker.entry.pid)) worker.memory = *memory;
    }
}

void RunningServer::send(int signal) const {
    const error_code error = send_signal(pidfd_, signal);
    if (!error) return;
    if (error.value() == ESRCH) throw has_ended(pid_);
    throw NoServer(exit_no_privilege, status_unknown,
                   fmt::format("can't send a signal to pid {}: {}\n"
                               "    run preforkctl as root, or as the user that started it",
                               pid_.value, error.message()));
}

bool RunningServer::wait_for_end(std::optional<milliseconds> limit) const {
    pollfd end{pidfd_.get(), POLLIN, 0};
    const int timeout = limit ? static_cast<int>(limit->count()) : -1;
    return ::poll(&end, 1, timeout) > 0;
}

}  // namespace preforkd::ctl
