#pragma once

#include <deque>
#include <optional>

#include "master/supervision.hpp"
#include "shared/drain_margin.hpp"
#include "shared/types.hpp"

namespace preforkd::master {

/// Most workers that TTIN gives a pool.
inline constexpr unsigned max_pool_workers = 1024;

/// How long a new program may take to prove that it could take over.
inline constexpr seconds proof_timeout{10};

/// Least time between two spawns of one slot, however READY its workers were before they died, and
/// of any two slots whose workers died before it.
inline constexpr milliseconds respawn_spacing{100};

/// Delay before respawning a slot that died `failures` times in a row before READY.
/// Unit: milliseconds. Range: [100, 8000]. Requires: failures >= 1.
[[nodiscard]] milliseconds respawn_delay(unsigned failures) noexcept;

/// How long after a worker has become stale it gets SIGABRT; what is left until `hang_timeout` is
/// for its coming to an end by that. Unit: milliseconds. Range: (0, hang_timeout).
[[nodiscard]] milliseconds abort_delay(milliseconds hang_timeout) noexcept;

/// Decides all that happens to workers and generations. Events and a time go in, actions come out;
/// it makes no system call, so that everything it decides is tested without a process.
///
/// Each slot of a configuration's pools holds one worker. The configuration in service is the
/// running generation; a reload raises an incoming one beside it, and only when every incoming
/// worker is READY does it take over and the old one drain. The start is the first such raising,
/// with nothing beside it.
///
/// The whole, phase x event (. = nothing; a HUP and a USR2 are remembered and served on entering
/// `running`, the USR2 first, so that all those of one reload or upgrade make one more):
///
///     phase      HUP         USR2        TERM           INT, QUIT  TTIN, TTOU  all READY
///     created    remember    remember    StartFailed    as TERM    .           .
///     starting   remember    remember    StartFailed    as TERM    .           Started
///     running    LoadConfig  ProveImage  stop, drain    kill all   +1, -1      .
///     loading    remember    remember    abandon, stop  kill all   .           .
///     reloading  remember    remember    abandon, stop  kill all   .           commit
///     proving    remember    remember    abandon, stop  kill all   +1, -1      .
///     executing  remember    remember    abandon, stop  kill all   +1, -1      .
///     leaving    .           .           stop, drain    kill all   .           .
///     stopping   .           .           kill all       kill all   .           .
///     exited     .           .           .              .          .           .
///
/// The answers to what it orders:
///
///     phase      accepted   refused  proven        late     not executed  took over
///     loading    spawn all  abandon  .             .        .             .
///     proving    .          abandon  ExecuteImage  abandon  .             .
///     executing  .          .        .             .        abandon       LoadConfig
///
/// An upgrade that took over ends as a HUP does, which makes workers of the new program; a HUP that
/// came meanwhile is served by that.
///
/// One worker, state x event (dies: is reaped, could not be made, fails, misbehaves or is late;
/// after the last three it is killed and waits beside its slot, which goes on, to be reaped):
///
///     state     Spawned   READY       dies                    its slot is given up
///     resting   .         .           .                       gone
///     spawning  starting  .           rest for respawn_delay  unwanted
///     starting  .         serving     rest for respawn_delay  killed
///     serving   .         misbehaved  respawn at once         draining
///     retiring  .         misbehaved  gone                    draining
///     draining  .         misbehaved  gone                    .
///     killed    .         .           gone                    .
///     unwanted  killed    .           gone                    .
///
/// A generation that is not in service yet fails as a whole with the first of its workers that
/// dies, READY or not. An abandoned reload kills those of its workers that are not READY and drains
/// the READY ones, which may have accepted a connection already. A start that fails, or is stopped
/// before Started, kills all and exits 1; any stop after it exits 0. A TERM with shutdown_delay
/// leads to `leaving` first, where slots live as in `running`; its end is a TERM like another.
///
/// A READY worker that is stale is left alone for abort_delay(), sent SIGABRT, and killed at
/// `hang_timeout`, unless it recovers; its slot then goes on as after any death.
///
/// Recycling sets a worker aside as `retiring` and gives its slot a successor; when that one is
/// READY the predecessor drains. One slot of a pool at a time, and none begins during a reload.
///
/// Generations are numbered from 1; a refused file takes no number, an abandoned generation does.
class Supervisor {
  public:
    /// Workers in no particular order; none is `gone`.
    using Workers = std::deque<Worker>;

    /// All that it knows while a new program is to be executed, as the one there goes on with it.
    struct Snapshot {
        Generation generation;  ///< in service
        Policy policy;          ///< of that generation
        Generation last_raised;
        bool reload_wanted = false;
        bool upgrade_wanted = false;
        std::vector<Worker> workers;  ///< with no spawn unanswered
    };

    Supervisor() = default;
    /// Goes on in `executing`, and waits for TookOver or NotExecuted.
    explicit Supervisor(Snapshot snapshot);

    /// Requires: phase() is `executing`.
    [[nodiscard]] Snapshot snapshot() const;

    /// Events about pids that it does not know are ignored. Requires: `now` never goes back.
    [[nodiscard]] Actions handle(const Event& event, TimePoint now);

    /// When TimePassed is due, if no event comes before; nothing: it waits for events alone.
    [[nodiscard]] std::optional<TimePoint> next_deadline() const;

    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    [[nodiscard]] const Workers& workers() const noexcept { return workers_; }

    /// The generation in service; 0 before Started.
    [[nodiscard]] Generation generation() const noexcept { return running_.generation; }

    /// A reload is in flight: its LoadConfig has no verdict yet.
    [[nodiscard]] bool reloading() const noexcept {
        return phase_ == Phase::loading || phase_ == Phase::reloading;
    }

    /// TTIN and TTOU are obeyed: no generation is on its way in or out.
    [[nodiscard]] bool may_resize() const;

    /// Slots of the pool; not those that TTOU has taken from it.
    [[nodiscard]] std::uint32_t slots_of(PoolId pool) const;

  private:
    struct Configuration {
        Generation generation;
        Policy policy;
    };

    void on(const event::Start& start);
    void on(const event::WorkerSpawned& spawned);
    void on(const event::SpawnFailed& failed);
    void on(const event::WorkerReady& ready);
    void on(const event::WorkerFailed& failed);
    void on(const event::WorkerUnreachable& unreachable);
    void on(const event::WorkerMisbehaved& misbehaved);
    void on(const event::RecycleDue& due);
    void on(const event::WorkerStale& stale);
    void on(const event::WorkerRecovered& recovered);
    void on(const event::WorkerExited& exited);
    void on(const event::ConfigAccepted& accepted);
    void on(const event::ConfigRefused& refused);
    void on(const event::ImageProven& proven);
    void on(const event::ImageRefused& refused);
    void on(const event::TookOver& took_over);
    void on(const event::NotExecuted& failed);
    void on(const event::HupReceived& hup);
    void on(const event::Usr2Received& usr2);
    void on(const event::TermReceived& term);
    void on(const event::QuitReceived& quit);
    void on(const event::TtinReceived& ttin);
    void on(const event::TtouReceived& ttou);
    void on(const event::TimePassed& passed);
    void conclude();

    // Generations.
    void raise(const Policy& policy, Phase phase);
    void commit();
    void load();
    void abandon(const Failure& failure);
    void prove();
    void abandon_upgrade(Reason reason);
    void fail_start(const Failure& failure);
    void announce_stop(Phase phase);
    void stop_and_drain();
    void leave_generation(Generation generation, Reason reason);
    void kill_all(Reason reason);

    // Slots.
    void add(SlotId slot, Generation generation);
    void spawn(Worker& worker);
    void rest(Worker& worker, TimePoint until);
    [[nodiscard]] TimePoint free_for_retry(TimePoint wanted) const;
    void respawn(Worker& worker);
    void vacate(Worker& worker, Reason reason);
    void recycle_due_workers();
    void recycle(Worker& worker);
    void drain_predecessors(const Worker& successor);

    // Workers.
    void leave(Worker& worker, Reason reason);
    void drain(Worker& worker);
    void expel(Worker& worker, Reason reason);
    void kill(Worker& worker, Reason reason);
    void end_wait(Worker& worker);
    void end_patience(Worker& worker);

    [[nodiscard]] bool in_service() const;
    [[nodiscard]] bool upgrading() const;
    [[nodiscard]] bool raising() const;
    [[nodiscard]] bool is_incoming(const Worker& worker) const;
    [[nodiscard]] bool every_incoming_worker_serves() const;
    [[nodiscard]] bool pool_recycles(PoolId pool) const;
    [[nodiscard]] std::optional<TimePoint> hang_deadline(const Worker& worker) const;
    [[nodiscard]] const Policy& policy_of(const Worker& worker) const;
    [[nodiscard]] Worker* find(Pid pid);
    [[nodiscard]] Worker* find_order(SlotId slot, Generation generation);

    Phase phase_ = Phase::created;
    Configuration running_;   // generation 0 until the first one is in service
    Configuration incoming_;  // meaningful in starting, loading (its number) and reloading
    Generation last_raised_;  // the highest number that any worker got
    bool reload_wanted_ = false;
    bool upgrade_wanted_ = false;
    std::optional<TimePoint> proof_deadline_;  // in proving
    int exit_code_ = 0;
    std::optional<TimePoint> leave_until_;  // in `leaving`
    Workers workers_;                       // deque: references outlive emplace_back
    TimePoint now_;                         // of the event in hand
    Actions actions_;                       // its answer so far
};

}  // namespace preforkd::master
