#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "shared/types.hpp"

/// The supervisor's vocabulary: what it is told (events), what it answers (actions), and what it
/// knows of a worker. The machine itself is in supervisor.hpp.
namespace preforkd::master {

/// A pool and how many workers it is to have. Range of `workers`: [1, 1024].
struct PoolPolicy {
    PoolId id;
    unsigned workers = 1;
    bool operator==(const PoolPolicy&) const = default;
};

/// What the supervisor needs of one configuration. TTIN and TTOU act on the first pool.
struct Policy {
    std::vector<PoolPolicy> pools;
    milliseconds ready_timeout{10'000};  ///< From a worker's spawn to its READY.
    milliseconds drain_timeout{30'000};  ///< How long a worker may finish its sessions.
    milliseconds shutdown_delay{0};      ///< From TERM to the drain.
    milliseconds hang_timeout{10'000};   ///< From a READY worker's being stale to its SIGKILL.
    bool operator==(const Policy&) const = default;
};

/// Why a start or a reload came to nothing, or a worker is killed.
enum class Reason : std::uint8_t {
    config_refused,  ///< The configuration file has faults, or its listeners can't be bound.
    spawn_failed,    ///< No process could be made for a slot.
    worker_failed,   ///< A worker said itself that it can't start, or can't go on.
    unreachable,     ///< A worker could not be sent what it needs.
    worker_exited,   ///< A worker died before its generation was in service.
    misbehaved,      ///< A worker sent something that its channel does not allow.
    ready_timeout,   ///< A worker did not say READY in time.
    drain_timeout,   ///< A draining worker did not end in time.
    hung,            ///< A READY worker's event loop has stood still for too long.
    unwanted,        ///< A worker's slot or generation is given up.
    stopped,         ///< The master was told to stop.
    image_refused,   ///< The new program can't be opened, or proved that it can't take over.
    image_late,      ///< The new program did not answer its proof in time.
    not_executed,    ///< The new program could not be executed, or came back.
};

/// As a person reads it in a log line: "did not say READY in time".
[[nodiscard]] std::string_view to_string(Reason reason) noexcept;

/// Why, and in which slot if it happened in one.
struct Failure {
    Reason reason = Reason::stopped;
    std::optional<SlotId> slot;
    bool operator==(const Failure&) const = default;
};

namespace event {

/// The first configuration is validated and its listeners are open. Comes once, first.
struct Start {
    Policy policy;
};

/// The answer to action::Spawn: the process exists. Each Spawn gets exactly one answer, those of
/// one slot and generation in the order of their Spawns.
struct WorkerSpawned {
    SlotId slot;
    Generation generation;
    Pid pid;
};

/// The other answer to action::Spawn: fork or what belongs to it failed.
struct SpawnFailed {
    SlotId slot;
    Generation generation;
};

struct WorkerReady {
    Pid pid;
};

/// The worker said itself that it can't start or go on; its text is kept by the caller.
struct WorkerFailed {
    Pid pid;
};

/// The worker could not be sent what it needs.
struct WorkerUnreachable {
    Pid pid;
};

/// The worker sent something invalid on its channel.
struct WorkerMisbehaved {
    Pid pid;
};

/// The worker has used up its requests, lifetime or memory: a fresh one is to take its place.
struct RecycleDue {
    Pid pid;
};

/// The worker's dead man's switch has gone off, or the process is stopped: its event loop stands
/// still. It counts from here, not from when it happened, for we may have slept as well.
struct WorkerStale {
    Pid pid;
};

/// A stale worker's event loop turns again.
struct WorkerRecovered {
    Pid pid;
};

/// The worker is reaped. Comes before any event about a new process of the same number.
struct WorkerExited {
    Pid pid;
};

/// The answers to action::LoadConfig. The policy's listeners are open when it is accepted.
struct ConfigAccepted {
    Policy policy;
};
struct ConfigRefused {};

/// The answers to action::ProveImage, and to action::ExecuteImage.
struct ImageProven {};
struct ImageRefused {};
struct TookOver {};     ///< This is the new program, and all that there was is in its hands.
struct NotExecuted {};  ///< This is still the old program, or the old one again.

struct HupReceived {};
struct Usr2Received {};
struct TermReceived {};
struct QuitReceived {};  ///< INT or QUIT.

/// Ignored (no action comes of them) during a start, a reload and a stop, and at the pool's bounds.
struct TtinReceived {};
struct TtouReceived {};

/// The time that next_deadline() named has come. Any other moment does no harm.
struct TimePassed {};

}  // namespace event

using Event =
    std::variant<event::Start, event::WorkerSpawned, event::SpawnFailed, event::WorkerReady,
                 event::WorkerFailed, event::WorkerUnreachable, event::WorkerMisbehaved,
                 event::RecycleDue, event::WorkerStale, event::WorkerRecovered, event::WorkerExited,
                 event::ConfigAccepted, event::ConfigRefused, event::ImageProven,
                 event::ImageRefused, event::TookOver, event::NotExecuted, event::Usr2Received,
                 event::HupReceived, event::TermReceived, event::QuitReceived, event::TtinReceived,
                 event::TtouReceived, event::TimePassed>;

namespace action {

/// Make a worker of that generation's configuration; answer WorkerSpawned or SpawnFailed.
struct Spawn {
    SlotId slot;
    Generation generation;
    bool operator==(const Spawn&) const = default;
};

/// Tell the worker to stop accepting, finish and exit. Once per worker, always a READY one.
struct Drain {
    Pid pid;
    bool operator==(const Drain&) const = default;
};

/// kill(2). SIGKILL comes at most once per worker; before it, for a hung one, SIGABRT, which a
/// debugger or a crash handler of its own could see.
struct Kill {
    Pid pid;
    int signal = 0;
    Reason reason = Reason::stopped;
    bool operator==(const Kill&) const = default;
};

/// Read and validate the file and bind what is new; answer ConfigAccepted or ConfigRefused. The
/// generation is the one that it becomes when accepted. Each LoadConfig ends in exactly one
/// CommitGeneration or AbandonGeneration of that number.
struct LoadConfig {
    Generation generation;
    bool operator==(const LoadConfig&) const = default;
};

/// Every worker of the new generation is READY: its configuration is in service from here on.
struct CommitGeneration {
    Generation generation;
    bool operator==(const CommitGeneration&) const = default;
};

/// The reload is cancelled: drop what it bound. The generation before it is in service, untouched.
struct AbandonGeneration {
    Generation generation;
    Failure failure;
    bool operator==(const AbandonGeneration&) const = default;
};

/// Open the program's file and try whether it could take over; answer ImageProven or ImageRefused.
/// Each ProveImage ends in exactly one AbandonUpgrade or TookOver.
struct ProveImage {
    bool operator==(const ProveImage&) const = default;
};

/// Become the program that was proven, once every action and event before this is dealt with,
/// unless AbandonUpgrade comes meanwhile; answer TookOver or NotExecuted.
struct ExecuteImage {
    bool operator==(const ExecuteImage&) const = default;
};

/// The upgrade is cancelled: end the proof if there still is one. Nothing else has changed.
struct AbandonUpgrade {
    Reason reason = Reason::image_refused;
    bool operator==(const AbandonUpgrade&) const = default;
};

/// Every first worker is READY. Exactly one of Started and StartFailed ever comes.
struct Started {
    bool operator==(const Started&) const = default;
};

/// The start came to nothing; Exit follows when the last worker is gone.
struct StartFailed {
    Failure failure;
    bool operator==(const StartFailed&) const = default;
};

/// A started master begins to stop: announce it. Comes once, and shutdown_delay before the drain.
struct Stopping {
    bool operator==(const Stopping&) const = default;
};

/// No worker is left: clean up and end. The last action of all; `code` is an ExitCode.
struct Exit {
    int code = 0;
    bool operator==(const Exit&) const = default;
};

}  // namespace action

using Action = std::variant<action::Spawn, action::Drain, action::Kill, action::LoadConfig,
                            action::CommitGeneration, action::AbandonGeneration, action::ProveImage,
                            action::ExecuteImage, action::AbandonUpgrade, action::Started,
                            action::StartFailed, action::Stopping, action::Exit>;

/// To be carried out in this order.
using Actions = std::vector<Action>;

/// Where the master's life stands.
enum class Phase : std::uint8_t {
    created,    ///< Before event::Start.
    starting,   ///< The first workers are being raised.
    running,    ///< One generation in service, no reload.
    loading,    ///< LoadConfig is not answered yet.
    reloading,  ///< The incoming generation's workers are being raised.
    proving,    ///< ProveImage is not answered yet; all else as in running.
    executing,  ///< ExecuteImage is not answered yet.
    leaving,    ///< Told to stop, and serving as before for shutdown_delay.
    stopping,   ///< Workers are leaving for good.
    exited,     ///< Exit was ordered; every event is ignored.
};

[[nodiscard]] std::string_view to_string(Phase phase) noexcept;

/// Where a worker's life stands. The first four are a slot's states, the others those of a worker
/// that is leaving, beside whatever its slot does meanwhile.
enum class WorkerState : std::uint8_t {
    resting,   ///< No process: the slot waits for its next spawn. Deadline: that spawn.
    spawning,  ///< No process yet: Spawn is ordered and not answered.
    starting,  ///< A process that has not said READY. Deadline: ready_timeout.
    serving,   ///< READY.
    retiring,  ///< READY and serving, until the successor that its recycling made is READY.
    draining,  ///< Told to finish and exit. Deadline: drain_timeout and drain_margin.
    killed,    ///< SIGKILLed; waits to be reaped.
    unwanted,  ///< Spawn is ordered and not answered, but no longer wanted: killed when it comes.
    gone,      ///< Nothing left of it; never seen from outside.
};

[[nodiscard]] std::string_view to_string(WorkerState state) noexcept;

/// One worker's life, or the place where the next one will be.
struct Worker {
    SlotId slot;
    Generation generation;
    WorkerState state = WorkerState::resting;
    Pid pid;                                 ///< 0 when there is no process.
    std::optional<TimePoint> deadline;       ///< When something happens if nothing else does.
    unsigned failures = 0;                   ///< Deaths in a row before READY.
    TimePoint spawned_at;                    ///< When its Spawn was ordered.
    bool recycle_due = false;                ///< Waits for its turn to be recycled.
    std::optional<TimePoint> stale_since{};  ///< Its event loop stands still.
    bool aborted = false;                    ///< ... and it was sent SIGABRT for that.
};

}  // namespace preforkd::master
