#include "master/processes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <charconv>
#include <climits>
#include <memory>
#include <optional>

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

std::vector<OpenDescriptor> find_open(std::string_view target) {
    std::vector<OpenDescriptor> found;
    if (target.empty()) return found;
    for (const Pid pid : all_processes()) {
        const std::string folder = fmt::format("/proc/{}/fd", pid.value);
        for (const int number : numbered_entries(folder))
            if (read_link(fmt::format("{}/{}", folder, number)) == target)
                found.push_back(OpenDescriptor{pid, number});
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
    // The name, in parentheses, may itself hold spaces and parentheses: start after the last one.
    const std::string stat = read_proc(pid, "stat");
    const std::size_t name_end = stat.rfind(") ");
    if (name_end == std::string::npos || name_end + 4 >= stat.size()) return Pid{};
    const std::size_t begin = name_end + 4;  // skips the state, one letter
    const std::string_view number(stat.data() + begin, stat.find(' ', begin) - begin);
    return Pid{number_from(number).value_or(0)};
}

bool is_orphaned_worker(Pid pid, std::string_view program) {
    if (!read_proc(pid, "cmdline").starts_with(fmt::format("{}: worker", program))) return false;
    return !read_proc(parent_of(pid), "cmdline").starts_with(fmt::format("{}: master", program));
}

std::string link_of(int fd) {
    return read_link(fmt::format("/proc/self/fd/{}", fd));
}

}  // namespace preforkd::master
