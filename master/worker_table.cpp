#include "master/worker_table.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "shared/syscalls.hpp"

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

std::optional<std::uint32_t> index_of(const std::shared_ptr<ListenerGroup>& group,
                                      const ListenerSet::Groups& groups) {
    const auto found = std::find(groups.begin(), groups.end(), group);
    if (found == groups.end()) return std::nullopt;
    return static_cast<std::uint32_t>(found - groups.begin());
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

unsigned WorkerTable::reap_orphans(Pid spared) {
    unsigned count = 0;
    for (;;) {
        const Pid pid = ended_child();
        ExitedProcess exited;
        // A worker that has ended since reap() is not ours to take here: its SIGCHLD is on the way.
        if (pid.value == 0 || pid == spared || find(pid) != nullptr) return count;
        if (!reap_one(P_PID, pid.value, exited)) return count;
        ++count;
    }
}

std::vector<SavedWorker> WorkerTable::save(const ListenerSet::Groups& groups) const {
    std::vector<SavedWorker> all;
    for (const auto& [pid, worker] : workers_) {
        SavedWorker& saved = all.emplace_back();
        saved.pid = pid;
        saved.pidfd = descriptor_of(worker.process.pidfd);
        saved.channel = descriptor_of(worker.process.channel);
        saved.slot = worker.slot;
        saved.generation = worker.generation;
        saved.spawned_at = worker.spawned_at;
        saved.ready = worker.ready;
        saved.page_number = worker.page.number;
        saved.page = descriptor_of(worker.page.memory);
        saved.hang_timer = descriptor_of(worker.hang_timer);
        saved.reads_scoreboard = worker.reads_scoreboard;
        saved.stopped = worker.stopped;
        saved.silenced = worker.silenced;
        saved.doom = worker.doom;
        for (const HeldPlace& held : worker.places)
            saved.places.push_back(
                {index_of(held.place.group, groups), held.place.member, held.accepting, held.kept});
    }
    return all;
}

void WorkerTable::restore(const std::vector<SavedWorker>& all, const ListenerSet::Groups& groups) {
    for (const SavedWorker& saved : all) {
        WorkerProcess& worker =
            add({{saved.pid, UniqueFd(saved.pidfd.number), UniqueFd(saved.channel.number)},
                 saved.slot,
                 saved.generation,
                 saved.spawned_at,
                 saved.ready});
        refuse_descriptors(worker.process.channel);
        worker.page.number = saved.page_number;
        worker.page.memory.reset(saved.page.number);
        worker.hang_timer.reset(saved.hang_timer.number);
        worker.reads_scoreboard = saved.reads_scoreboard;
        worker.stopped = saved.stopped;
        worker.silenced = saved.silenced;
        worker.doom = saved.doom;
        for (const SavedPlace& place : saved.places)
            worker.places.push_back({{place.group ? groups[*place.group] : nullptr, place.member},
                                     place.accepting && place.group,
                                     place.kept && place.group});
    }
}

}  // namespace preforkd::master
