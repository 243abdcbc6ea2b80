#include "master/worker_table.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <cstring>

namespace preforkd::master {
namespace {

/// Reaps that child if it has ended.
bool reap_one(idtype_t type, int id, ExitedProcess& exited) {
    siginfo_t info{};
    if (::waitid(type, static_cast<id_t>(id), &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return false;
    exited = {Pid{info.si_pid}, info.si_code, info.si_status};
    return true;
}

/// A child that has ended and is left as it is; 0 if there is none.
Pid ended_child() {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return {};
    return Pid{info.si_pid};
}

}  // namespace

std::string describe(const ExitedProcess& exited) {
    if (exited.code == CLD_EXITED) return fmt::format("exit status {}", exited.status);
    return fmt::format("signal {} ({})", exited.status, ::strsignal(exited.status));
}

WorkerProcess& WorkerTable::add(WorkerProcess worker) {
    const Pid pid = worker.process.pid;
    return workers_.insert_or_assign(pid, std::move(worker)).first->second;
}

WorkerProcess* WorkerTable::find(Pid pid) {
    const auto found = workers_.find(pid);
    return found == workers_.end() ? nullptr : &found->second;
}

std::vector<ExitedProcess> WorkerTable::reap() {
    std::vector<ExitedProcess> ended;
    for (auto& [pid, worker] : workers_) {
        ExitedProcess exited;
        if (reap_one(P_PIDFD, worker.process.pidfd.get(), exited)) ended.push_back(exited);
    }
    return ended;
}

std::vector<StoppedProcess> WorkerTable::stopped_or_continued() {
    std::vector<StoppedProcess> changed;
    for (auto& [pid, worker] : workers_) {
        siginfo_t info{};
        const auto id = static_cast<id_t>(worker.process.pidfd.get());
        if (::waitid(P_PIDFD, id, &info, WSTOPPED | WCONTINUED | WNOHANG) == 0 && info.si_pid != 0)
            changed.push_back({pid, info.si_code == CLD_STOPPED});
    }
    return changed;
}

unsigned WorkerTable::reap_orphans() {
    unsigned count = 0;
    for (;;) {
        const Pid pid = ended_child();
        ExitedProcess exited;
        // A worker that has ended since reap() is not ours to take here: its SIGCHLD is on the way.
        if (pid.value == 0 || find(pid) != nullptr || !reap_one(P_PID, pid.value, exited))
            return count;
        ++count;
    }
}

}  // namespace preforkd::master
