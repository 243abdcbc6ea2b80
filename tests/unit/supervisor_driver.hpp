#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "master/supervisor.hpp"

/// Lets the supervisor's tests say what happens and read what it answers as one line of text.
namespace preforkd::master::test {

using namespace std::chrono_literals;
using namespace event;

inline std::string text(SlotId slot) {
    return fmt::format("{}/{}", slot.pool.value, slot.index);
}

inline std::string text(const Failure& failure) {
    return fmt::format("{}{}", failure.slot ? text(*failure.slot) + " " : "",
                       to_string(failure.reason));
}

struct ActionText {
    std::string operator()(const action::Spawn& a) const {
        return fmt::format("spawn {} gen {}", text(a.slot), a.generation.value);
    }
    std::string operator()(const action::Drain& a) const {
        return fmt::format("drain {}", a.pid.value);
    }
    std::string operator()(const action::Kill& a) const {
        return fmt::format("kill -{} {} ({})", a.signal, a.pid.value, to_string(a.reason));
    }
    std::string operator()(const action::LoadConfig& a) const {
        return fmt::format("load {}", a.generation.value);
    }
    std::string operator()(const action::CommitGeneration& a) const {
        return fmt::format("commit {}", a.generation.value);
    }
    std::string operator()(const action::AbandonGeneration& a) const {
        return fmt::format("abandon {} ({})", a.generation.value, text(a.failure));
    }
    std::string operator()(const action::ProveImage&) const { return "prove"; }
    std::string operator()(const action::ExecuteImage&) const { return "execute"; }
    std::string operator()(const action::AbandonUpgrade& a) const {
        return fmt::format("abandon upgrade ({})", to_string(a.reason));
    }
    std::string operator()(const action::Started&) const { return "started"; }
    std::string operator()(const action::StartFailed& a) const {
        return fmt::format("start failed ({})", text(a.failure));
    }
    std::string operator()(const action::Stopping&) const { return "stopping"; }
    std::string operator()(const action::Exit& a) const { return fmt::format("exit {}", a.code); }
};

/// The actions in their order: "commit 2, drain 100, drain 101"; nothing: "".
inline std::string text(const Actions& actions) {
    std::string line;
    for (const Action& action : actions)
        line += (line.empty() ? "" : ", ") + std::visit(ActionText{}, action);
    return line;
}

struct EventText {
    std::string operator()(const Start&) const { return "Start"; }
    std::string operator()(const WorkerSpawned& e) const {
        return fmt::format("WorkerSpawned {} gen {} pid {}", text(e.slot), e.generation.value,
                           e.pid.value);
    }
    std::string operator()(const SpawnFailed& e) const {
        return fmt::format("SpawnFailed {} gen {}", text(e.slot), e.generation.value);
    }
    std::string operator()(const WorkerReady& e) const { return of("WorkerReady", e.pid); }
    std::string operator()(const WorkerFailed& e) const { return of("WorkerFailed", e.pid); }
    std::string operator()(const WorkerUnreachable& e) const { return of("Unreachable", e.pid); }
    std::string operator()(const WorkerMisbehaved& e) const { return of("Misbehaved", e.pid); }
    std::string operator()(const RecycleDue& e) const { return of("RecycleDue", e.pid); }
    std::string operator()(const WorkerStale& e) const { return of("WorkerStale", e.pid); }
    std::string operator()(const WorkerRecovered& e) const { return of("Recovered", e.pid); }
    std::string operator()(const WorkerExited& e) const { return of("WorkerExited", e.pid); }
    std::string operator()(const ConfigAccepted&) const { return "ConfigAccepted"; }
    std::string operator()(const ConfigRefused&) const { return "ConfigRefused"; }
    std::string operator()(const ImageProven&) const { return "ImageProven"; }
    std::string operator()(const ImageRefused&) const { return "ImageRefused"; }
    std::string operator()(const TookOver&) const { return "TookOver"; }
    std::string operator()(const NotExecuted&) const { return "NotExecuted"; }
    std::string operator()(const Usr2Received&) const { return "USR2"; }
    std::string operator()(const HupReceived&) const { return "HUP"; }
    std::string operator()(const TermReceived&) const { return "TERM"; }
    std::string operator()(const QuitReceived&) const { return "QUIT"; }
    std::string operator()(const TtinReceived&) const { return "TTIN"; }
    std::string operator()(const TtouReceived&) const { return "TTOU"; }
    std::string operator()(const TimePassed&) const { return "TimePassed"; }
    static std::string of(const char* name, Pid pid) {
        return fmt::format("{} {}", name, pid.value);
    }
};

inline std::string text(const Event& event) {
    return std::visit(EventText{}, event);
}

/// One pool, number 0, of that many workers.
inline Policy pool_of(unsigned workers) {
    return {.pools = {{PoolId{0}, workers}}};
}

inline SlotId slot(std::uint32_t index) {
    return {PoolId{0}, index};
}

/// A supervisor and the clock that its events come by.
struct Driver {
    Supervisor supervisor;
    TimePoint now{1h};
    Actions last;  ///< What the last event led to.

    std::string tell(const Event& event) {
        last = supervisor.handle(event, now);
        return text(last);
    }

    std::string after(milliseconds wait, const Event& event) {
        now += wait;
        return tell(event);
    }

    /// Answers the Spawns among the last actions, in their order, with these pids.
    void spawned(std::vector<pid_t> pids) {
        const Actions orders = last;
        auto pid = pids.begin();
        for (const Action& order : orders)
            if (const auto* spawn = std::get_if<action::Spawn>(&order); spawn && pid != pids.end())
                tell(WorkerSpawned{spawn->slot, spawn->generation, Pid{*pid++}});
    }

    /// Each says READY in turn; answers what the last of them led to.
    std::string ready(const std::vector<pid_t>& pids) {
        for (const pid_t pid : pids) tell(WorkerReady{Pid{pid}});
        return text(last);
    }

    /// Each is reaped in turn; answers what the last of them led to.
    std::string exited(const std::vector<pid_t>& pids) {
        for (const pid_t pid : pids) tell(WorkerExited{Pid{pid}});
        return text(last);
    }

    /// The worker of that pid as the supervisor knows it: "0/1 gen 2 serving"; unknown: "".
    [[nodiscard]] std::string worker(pid_t pid) const {
        const auto& workers = supervisor.workers();
        const auto found =
            std::ranges::find_if(workers, [pid](const Worker& w) { return w.pid == Pid{pid}; });
        if (found == workers.end()) return "";
        return fmt::format("{} gen {} {}", text(found->slot), found->generation.value,
                           to_string(found->state));
    }

    /// How long until the next deadline; none: -1 ms.
    [[nodiscard]] long long wait() const {
        const auto deadline = supervisor.next_deadline();
        return deadline ? std::chrono::ceil<milliseconds>(*deadline - now).count() : -1;
    }
};

/// A started master whose workers have these pids, long since READY.
inline Driver running_with(const Policy& policy, const std::vector<pid_t>& pids) {
    Driver driver;
    driver.tell(Start{policy});
    driver.spawned(pids);
    driver.ready(pids);
    driver.now += 1h;
    return driver;
}

/// The same with a reload to `policy` in flight, its workers spawned with `incoming`.
inline Driver reloading_with(const Policy& policy, const std::vector<pid_t>& pids,
                             const std::vector<pid_t>& incoming) {
    Driver driver = running_with(policy, pids);
    driver.tell(HupReceived{});
    driver.tell(ConfigAccepted{policy});
    driver.spawned(incoming);
    return driver;
}

/// The same with an upgrade in flight, its program proven.
inline Driver executing_with(const Policy& policy, const std::vector<pid_t>& pids) {
    Driver driver = running_with(policy, pids);
    driver.tell(Usr2Received{});
    driver.tell(ImageProven{});
    return driver;
}

}  // namespace preforkd::master::test
