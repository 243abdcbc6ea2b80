#include "processes.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <ostream>
#include <sstream>

#include "deadline.hpp"
#include "master/processes.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::testing {
namespace {

std::string folder_of(pid_t pid) {
    return "/proc/" + std::to_string(pid) + "/";
}

std::string read_file(pid_t pid, const char* name) {
    return master::read_proc(Pid{pid}, name);
}

/// Texts that each end with a NUL.
std::vector<std::string> split_at_nul(const std::string& text) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, '\0');) parts.push_back(part);
    return parts;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Exit& exit) {
    if (exit.signal != 0) return out << "signal " << exit.signal;
    return out << "exit status " << exit.status;
}

std::optional<Process> Process::find(pid_t pid) {
    auto pidfd = open_pidfd(Pid{pid});
    if (!pidfd) return std::nullopt;
    Process process;
    process.pid_ = pid;
    process.pidfd_ = std::move(*pidfd);
    return process;
}

Process::Process(pid_t pid) {
    auto found = find(pid);
    BOOST_REQUIRE_MESSAGE(found.has_value(), "process " << pid << " does not exist");
    *this = std::move(*found);
}

bool Process::is_running() const {
    std::vector<pollfd> entry{{pidfd_.get(), POLLIN, 0}};
    return is_open() && ::poll(entry.data(), 1, 0) == 0;
}

void Process::send(int signal) const {
    (void)send_signal(pidfd_, signal);
}

void Process::wait_for_end() const {
    BOOST_REQUIRE_MESSAGE(wait_for(pidfd_.get(), POLLIN, Deadline()),
                          "process " << pid_ << " (" << title_of(pid_) << ") does not end");
}

Exit Process::reap() {
    wait_for_end();
    siginfo_t info{};
    BOOST_REQUIRE(::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) == 0);
    pidfd_.reset();
    return info.si_code == CLD_EXITED ? exited(info.si_status) : killed_by(info.si_status);
}

void Process::kill_and_reap() noexcept {
    if (!is_open()) return;
    (void)send_signal(pidfd_, SIGKILL);
    siginfo_t info{};
    (void)::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED);
    pidfd_.reset();
}

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    for (const Pid pid : master::all_processes())
        if (master::parent_of(pid).value == parent) children.push_back(pid.value);
    std::sort(children.begin(), children.end());
    return children;
}

void end_all_children() noexcept {
    // What a child leaves behind becomes our child in its turn.
    for (auto children = children_of(::getpid()); !children.empty();
         children = children_of(::getpid()))
        for (const pid_t child : children) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
}

std::string title_of(pid_t pid) {
    std::string title = read_file(pid, "cmdline");
    while (!title.empty() && title.back() == '\0') title.pop_back();
    std::replace(title.begin(), title.end(), '\0', ' ');
    return title;
}

std::string link_of(pid_t pid, const std::string& name) {
    std::error_code error;
    return std::filesystem::read_symlink(folder_of(pid) + name, error).string();
}

std::map<int, std::string> descriptors_of(pid_t pid) {
    std::map<int, std::string> descriptors;
    for (const auto& entry : std::filesystem::directory_iterator(folder_of(pid) + "fd"))
        descriptors[std::stoi(entry.path().filename())] =
            link_of(pid, "fd/" + entry.path().filename().string());
    return descriptors;
}

std::map<std::string, std::string> status_of(pid_t pid) {
    std::map<std::string, std::string> status;
    std::istringstream lines(read_file(pid, "status"));
    for (std::string line; std::getline(lines, line);) {
        const auto colon = line.find(':');
        const auto value = line.find_first_not_of(" \t", colon + 1);
        const auto end = line.find_last_not_of(" \t") + 1;
        status[line.substr(0, colon)] =
            value == std::string::npos ? "" : line.substr(value, end - value);
    }
    return status;
}

Stat stat_of(pid_t pid) {
    const std::string text = read_file(pid, "stat");
    Stat stat;
    std::istringstream after_name(text.substr(std::min(text.rfind(')') + 1, text.size())));
    after_name >> stat.state >> stat.parent >> stat.group >> stat.session >> stat.terminal;
    return stat;
}

std::map<std::string, Limit> limits_of(pid_t pid) {
    // Columns: name to 26, soft to 47, hard to 68, unit.
    std::map<std::string, Limit> limits;
    const auto column = [](const std::string& line, std::size_t begin, std::size_t width) {
        const std::string text = line.substr(std::min(begin, line.size()), width);
        return text.substr(0, text.find_last_not_of(' ') + 1);
    };
    std::istringstream lines(read_file(pid, "limits"));
    for (std::string line; std::getline(lines, line);)
        limits[column(line, 0, 26)] = {column(line, 26, 21), column(line, 47, 21)};
    return limits;
}

std::vector<std::string> environment_of(pid_t pid) {
    auto variables = split_at_nul(read_file(pid, "environ"));
    std::erase(variables, "");
    std::sort(variables.begin(), variables.end());
    return variables;
}

std::vector<int> signals_in(const std::string& hexadecimal) {
    const unsigned long long set = std::stoull(hexadecimal, nullptr, 16);
    std::vector<int> signals;
    for (int signal = 1; signal <= 64; ++signal)
        if ((set >> (signal - 1) & 1) != 0) signals.push_back(signal);
    return signals;
}

pid_t child_titled(pid_t parent, const std::string& text) {
    for (const pid_t child : children_of(parent))
        if (title_of(child).find(text) != std::string::npos) return child;
    BOOST_FAIL("no child of process " << parent << " is called '" << text << "'");
    return 0;
}

}  // namespace preforkd::testing
