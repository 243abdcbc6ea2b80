#include "strace.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "deadline.hpp"
#include "needs_sandbox.hpp"

namespace preforkd::testing {
namespace {

// close(2) never fails so that the descriptor stays; brk(2) itself has no errors, but stays where
// it was; the others have none that a caller could meet who passes what is right.
const std::set<std::string> never_fail{
    "close",          "exit_group",   "rt_sigreturn",    "getpid", "getppid", "geteuid",
    "getuid",         "umask",        "execve",          "munmap", "futex",   "restart_syscall",
    "rt_sigprocmask", "rt_sigaction", "timerfd_settime", "waitid", "alarm",   "brk"};

const std::map<std::string, std::string> likely_errors{{"openat", "EMFILE"},
                                                       {"socket", "EMFILE"},
                                                       {"socketpair", "EMFILE"},
                                                       {"fcntl", "EMFILE"},
                                                       {"epoll_create1", "EMFILE"},
                                                       {"timerfd_create", "EMFILE"},
                                                       {"signalfd4", "EMFILE"},
                                                       {"pidfd_open", "EMFILE"},
                                                       {"memfd_create", "EMFILE"},
                                                       {"pipe2", "EMFILE"},
                                                       {"mmap", "ENOMEM"},
                                                       {"brk", "ENOMEM"},
                                                       {"mprotect", "ENOMEM"},
                                                       {"clone", "EAGAIN"},
                                                       {"fork", "EAGAIN"},
                                                       {"bind", "EADDRINUSE"},
                                                       {"write", "ENOSPC"},
                                                       {"epoll_ctl", "ENOSPC"},
                                                       {"epoll_wait", "EINTR"},
                                                       {"sendmsg", "ENOBUFS"},
                                                       {"sendto", "ENOBUFS"},
                                                       {"recvmsg", "ENOMEM"},
                                                       {"read", "EIO"},
                                                       {"pread64", "EIO"}};

std::string error_for(const std::string& call) {
    const auto known = likely_errors.find(call);
    return known == likely_errors.end() ? "EPERM" : known->second;
}

/// Of fcntl(2), only what needs a descriptor or seals memory has errors.
bool may_fail(const std::string& name, const std::string& line) {
    const auto has = [&](const char* part) { return line.find(part) != std::string::npos; };
    return name == "fcntl" ? has("F_DUPFD") || has("F_ADD_SEALS") : !never_fail.contains(name);
}

/// The call's name; empty when the line tells of something else.
std::string name_in(const std::string& line) {
    const std::string name = line.substr(0, line.find('('));
    const bool is_name =
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
    return is_name ? name : "";
}

}  // namespace

boost::test_tools::assertion_result needs_strace(boost::unit_test::test_unit_id id) {
    if (!std::filesystem::exists(strace)) {
        boost::test_tools::assertion_result result(false);
        result.message() << "needs strace";
        return result;
    }
    return needs_sandbox(id);  // sanitizers and ptrace(2) don't go together
}

std::vector<Call> calls_in(const std::string& path, std::string begin, const std::string& end) {
    std::ifstream file(path);
    std::map<std::string, unsigned> counts;
    std::vector<Call> calls;
    bool wanted = begin.empty();
    for (std::string line; std::getline(file, line);) {
        if (!end.empty() && line.starts_with(end)) break;
        const std::string name = name_in(line);
        if (name.empty()) continue;
        const unsigned occurrence = ++counts[name];
        wanted = wanted || line.find(begin) != std::string::npos;
        if (wanted && may_fail(name, line)) calls.push_back({name, occurrence});
        if (name == "execveat") {
            wanted = false;
            begin = "F_GETFD";  // the first that the program itself asks
        }
    }
    return calls;
}

std::vector<Call> calls_between_fork_and_exec(const std::string& path, pid_t parent) {
    std::ifstream file(path);
    std::map<pid_t, std::map<std::string, unsigned>> counts;
    std::map<pid_t, std::vector<Call>> calls;
    pid_t pid = 0;
    for (std::string line; file >> pid >> std::ws && std::getline(file, line);) {
        const std::string name = name_in(line);
        if (pid == parent || name.empty()) continue;
        const unsigned occurrence = ++counts[pid][name];
        if (may_fail(name, line)) calls[pid].push_back({name, occurrence});
        if (name == "execveat") return calls[pid];
    }
    return {};
}

std::vector<Call> chosen_from(const std::vector<Call>& calls, std::size_t about) {
    BOOST_TEST_MESSAGE(calls.size() << " calls may fail");
    if (std::getenv("PREFORKD_ALL_FAULTS") != nullptr) return calls;
    const std::size_t step = calls.size() / about + 1;
    std::vector<Call> chosen;
    std::set<std::string> seen;
    for (std::size_t i = 0; i < calls.size(); ++i)
        if (seen.insert(calls[i].name).second || i % step == 0) chosen.push_back(calls[i]);
    return chosen;
}

std::vector<std::string> injection(const Call& call) {
    return {"-e", "trace=" + call.name, "-e",
            "inject=" + call.name + ":error=" + error_for(call.name) +
                ":when=" + std::to_string(call.occurrence)};
}

Tracer::Tracer(pid_t target, const std::vector<std::string>& options) {
    Command command;
    command.program = strace;
    command.arguments = {"strace", "-p", std::to_string(target)};
    command.arguments.insert(command.arguments.end(), options.begin(), options.end());
    execution_ = execute(command);
    std::string printed;
    char byte = 0;
    while (printed.find("attached") == std::string::npos) {
        BOOST_REQUIRE(wait_for(execution_.printed.get(), POLLIN, Deadline()));
        BOOST_REQUIRE_MESSAGE(::read(execution_.printed.get(), &byte, 1) == 1, printed);
        printed += byte;
    }
}

Tracer::~Tracer() {
    execution_.process.send(SIGTERM);
    (void)execution_.process.reap();
}

}  // namespace preforkd::testing
