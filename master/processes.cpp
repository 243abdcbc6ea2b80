#include "master/processes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <memory>
#include <optional>
#include <sstream>

#include "shared/unique_fd.hpp"

namespace preforkd::master {
namespace {

struct CloseFolder {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

std::optional<int> number_from(std::string_view text) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

/// The entries of `path` that are numbers: pids in /proc, descriptors in /proc/PID/fd.
std::vector<int> numbered_entries(const std::string& path) {
    std::vector<int> numbers;
    const Folder folder(::opendir(path.c_str()));
    if (!folder) return numbers;
    while (const dirent* entry = ::readdir(folder.get()))
        if (const auto number = number_from(entry->d_name)) numbers.push_back(*number);
    return numbers;
}

/// What we need of /proc/PID/stat; zeroes when the process has gone.
struct Stat {
    char state = 0;
    Pid parent;
    unsigned flags = 0;
};

Stat read_stat(Pid pid) {
    // The name, in parentheses, may itself hold spaces and parentheses: start after the last one.
    const std::string text = read_proc(pid, "stat");
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return {};
    std::istringstream fields(text.substr(name_end + 1));
    Stat stat;
    int group = 0, session = 0, terminal = 0, terminal_group = 0;
    fields >> stat.state >> stat.parent.value >> group >> session >> terminal >> terminal_group >>
        stat.flags;
    return stat;
}

std::string read_link(const std::string& path) {
    char target[PATH_MAX];
    const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
    return length < 0 ? std::string() : std::string(target, static_cast<std::size_t>(length));
}

}  // namespace

std::vector<Pid> all_processes() {
    std::vector<Pid> pids;
    for (const int pid : numbered_entries("/proc"))
        if (pid != ::getpid()) pids.push_back(Pid{pid});
    return pids;
}

std::vector<OpenDescriptor> find_open(const std::vector<std::string>& targets,
                                      const std::vector<Pid>& processes) {
    std::vector<OpenDescriptor> found;
    if (targets.empty()) return found;
    for (const Pid pid : processes) {
        const Folder folder(::opendir(fmt::format("/proc/{}/fd", pid.value).c_str()));
        if (!folder) continue;
        // A busy server has tens of thousands: no string is made for each.
        while (const dirent* entry = ::readdir(folder.get())) {
            char target[PATH_MAX];
            const ssize_t length =
                ::readlinkat(::dirfd(folder.get()), entry->d_name, target, sizeof target);
            if (length <= 0) continue;
            const std::string_view link(target, static_cast<std::size_t>(length));
            const auto number = number_from(entry->d_name);
            if (number && std::find(targets.begin(), targets.end(), link) != targets.end())
                found.push_back(OpenDescriptor{pid, *number});
        }
    }
    return found;
}

std::string read_proc(Pid pid, const char* name) {
    const std::string path = fmt::format("/proc/{}/{}", pid.value, name);
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text(65536, '\0');
    std::size_t length = 0;
    while (fd.is_open() && length < text.size()) {
        const ssize_t got = ::read(fd.get(), text.data() + length, text.size() - length);
        if (got <= 0) break;
        length += static_cast<std::size_t>(got);
    }
    text.resize(length);
    return text;
}

std::string program_of(Pid pid) {
    std::string name = read_proc(pid, "comm");
    if (!name.empty() && name.back() == '\n') name.pop_back();
    return name.empty() ? "unknown program" : name;
}

Pid parent_of(Pid pid) {
    return read_stat(pid).parent;
}

bool is_exiting(Pid pid) {
    constexpr unsigned exiting = 0x4;  // PF_EXITING
    const Stat stat = read_stat(pid);
    return (stat.flags & exiting) != 0 && stat.state != 'Z' && stat.state != 'X';
}

bool is_orphaned_worker(Pid pid, std::string_view program) {
    if (!read_proc(pid, "cmdline").starts_with(fmt::format("{}: worker", program))) return false;
    return !read_proc(parent_of(pid), "cmdline").starts_with(fmt::format("{}: master", program));
}

std::string link_of(int fd) {
    return read_link(fmt::format("/proc/self/fd/{}", fd));
}

}  // namespace preforkd::master
