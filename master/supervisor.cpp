#include "master/supervisor.hpp"

#include <algorithm>
#include <csignal>
#include <utility>
#include <vector>

#include "shared/exit_code.hpp"

namespace preforkd::master {

namespace {

constexpr milliseconds longest_respawn_delay{8'000};

bool holds_slot(WorkerState state) noexcept {
    return state <= WorkerState::serving;
}

// It is nobody's business any more whether its event loop turns.
void stop_watching(Worker& worker) noexcept {
    worker.stale_since.reset();
    worker.aborted = false;
}

}  // namespace

milliseconds respawn_delay(unsigned failures) noexcept {
    const unsigned doublings = std::min(failures - 1, 9U);  // beyond the longest
    return std::min(respawn_spacing * (1U << doublings), longest_respawn_delay);
}

milliseconds abort_delay(milliseconds hang_timeout) noexcept {
    return hang_timeout * 4 / 5;
}

Actions Supervisor::handle(const Event& event, TimePoint now) {
    now_ = now;
    std::visit([this](const auto& happened) { on(happened); }, event);
    conclude();
    return std::exchange(actions_, {});
}

std::optional<TimePoint> Supervisor::next_deadline() const {
    std::optional<TimePoint> next = leave_until_ ? leave_until_ : proof_deadline_;
    for (const Worker& worker : workers_)
        for (const auto& deadline : {worker.deadline, hang_deadline(worker)})
            if (deadline && (!next || *deadline < *next)) next = deadline;
    return next;
}

// What follows from the states themselves, whichever event led to them.
void Supervisor::conclude() {
    if (raising() && every_incoming_worker_serves()) commit();
    if (phase_ == Phase::running && upgrade_wanted_) prove();
    if (phase_ == Phase::running && reload_wanted_) load();
    if (phase_ == Phase::running) recycle_due_workers();
    std::erase_if(workers_, [](const Worker& worker) { return worker.state == WorkerState::gone; });
    if (phase_ == Phase::stopping && workers_.empty()) {
        actions_.emplace_back(action::Exit{exit_code_});
        phase_ = Phase::exited;
    }
}

// Events, phase by phase.

void Supervisor::on(const event::Start& start) {
    if (phase_ == Phase::created) raise(start.policy, Phase::starting);
}

void Supervisor::on(const event::ConfigAccepted& accepted) {
    if (phase_ == Phase::loading) raise(accepted.policy, Phase::reloading);
}

void Supervisor::on(const event::ConfigRefused&) {
    if (phase_ == Phase::loading) abandon({Reason::config_refused, {}});
}

void Supervisor::on(const event::HupReceived&) {
    reload_wanted_ = true;
}

void Supervisor::on(const event::Usr2Received&) {
    upgrade_wanted_ = true;
}

void Supervisor::on(const event::TermReceived&) {
    if (phase_ == Phase::leaving) return stop_and_drain();
    if (!in_service()) return on(event::QuitReceived{});
    announce_stop(Phase::leaving);
    leave_until_ = now_ + running_.policy.shutdown_delay;
    if (*leave_until_ <= now_) stop_and_drain();
}

void Supervisor::on(const event::QuitReceived&) {
    if (phase_ == Phase::created || phase_ == Phase::starting)
        return fail_start({Reason::stopped, {}});
    if (in_service()) announce_stop(Phase::stopping);
    if (phase_ == Phase::leaving) phase_ = Phase::stopping;
    leave_until_.reset();
    kill_all(Reason::stopped);
}

void Supervisor::on(const event::TtinReceived&) {
    if (!may_resize()) return;
    const PoolId pool = running_.policy.pools.front().id;
    const std::uint32_t index = slots_of(pool);
    if (index < max_pool_workers) add({pool, index}, running_.generation);
}

void Supervisor::on(const event::TtouReceived&) {
    if (!may_resize()) return;
    const PoolId pool = running_.policy.pools.front().id;
    const std::uint32_t slots = slots_of(pool);
    if (slots <= 1) return;
    for (Worker& worker : workers_)
        if (worker.slot == SlotId{pool, slots - 1}) leave(worker, Reason::unwanted);
}

void Supervisor::on(const event::TimePassed&) {
    if (leave_until_ && *leave_until_ <= now_) stop_and_drain();
    if (proof_deadline_ && *proof_deadline_ <= now_) abandon_upgrade(Reason::image_late);
    // By index: an end of waiting may append, and what it appends is not due yet.
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        if (workers_[i].deadline && *workers_[i].deadline <= now_) end_wait(workers_[i]);
        // Twice when much time has passed at once: SIGABRT, then SIGKILL.
        for (int step = 0; step < 2; ++step)
            if (const auto deadline = hang_deadline(workers_[i]); deadline && *deadline <= now_)
                end_patience(workers_[i]);
    }
}

// Events, worker by worker.

void Supervisor::on(const event::WorkerSpawned& spawned) {
    Worker* worker = find_order(spawned.slot, spawned.generation);
    if (!worker) return;
    worker->pid = spawned.pid;
    if (worker->state == WorkerState::unwanted) return kill(*worker, Reason::unwanted);
    worker->state = WorkerState::starting;
    worker->deadline = now_ + policy_of(*worker).ready_timeout;
}

void Supervisor::on(const event::SpawnFailed& failed) {
    Worker* worker = find_order(failed.slot, failed.generation);
    if (!worker) return;
    if (holds_slot(worker->state))
        vacate(*worker, Reason::spawn_failed);
    else
        worker->state = WorkerState::gone;
}

void Supervisor::on(const event::WorkerReady& ready) {
    Worker* worker = find(ready.pid);
    if (!worker) return;
    if (worker->state != WorkerState::starting) return expel(*worker, Reason::misbehaved);
    worker->state = WorkerState::serving;
    worker->deadline.reset();
    worker->failures = 0;
    drain_predecessors(*worker);
}

void Supervisor::on(const event::WorkerFailed& failed) {
    if (Worker* worker = find(failed.pid)) expel(*worker, Reason::worker_failed);
}

void Supervisor::on(const event::WorkerUnreachable& unreachable) {
    if (Worker* worker = find(unreachable.pid)) expel(*worker, Reason::unreachable);
}

void Supervisor::on(const event::WorkerMisbehaved& misbehaved) {
    if (Worker* worker = find(misbehaved.pid)) expel(*worker, Reason::misbehaved);
}

void Supervisor::on(const event::RecycleDue& due) {
    Worker* worker = find(due.pid);
    if (worker && worker->state == WorkerState::serving) worker->recycle_due = true;
}

void Supervisor::on(const event::WorkerStale& stale) {
    Worker* worker = find(stale.pid);
    if (!worker || worker->stale_since) return;
    if (worker->state == WorkerState::serving || worker->state == WorkerState::retiring ||
        worker->state == WorkerState::draining)
        worker->stale_since = now_;
}

void Supervisor::on(const event::WorkerRecovered& recovered) {
    Worker* worker = find(recovered.pid);
    if (worker && !worker->aborted) stop_watching(*worker);
}

void Supervisor::on(const event::WorkerExited& exited) {
    Worker* worker = find(exited.pid);
    if (!worker) return;
    if (holds_slot(worker->state))
        vacate(*worker, Reason::worker_exited);
    else
        worker->state = WorkerState::gone;
}

// Generations.

void Supervisor::raise(const Policy& policy, Phase phase) {
    phase_ = phase;
    ++last_raised_.value;
    incoming_ = {last_raised_, policy};
    for (const PoolPolicy& pool : policy.pools)
        for (std::uint32_t index = 0; index < pool.workers; ++index)
            add({pool.id, index}, incoming_.generation);
}

void Supervisor::commit() {
    if (phase_ == Phase::starting) {
        actions_.emplace_back(action::Started{});
    } else {
        actions_.emplace_back(action::CommitGeneration{incoming_.generation});
        leave_generation(running_.generation, Reason::unwanted);
    }
    running_ = std::exchange(incoming_, {});
    phase_ = Phase::running;
}

void Supervisor::load() {
    reload_wanted_ = false;
    phase_ = Phase::loading;
    incoming_ = {Generation{last_raised_.value + 1}, {}};
    actions_.emplace_back(action::LoadConfig{incoming_.generation});
}

void Supervisor::abandon(const Failure& failure) {
    actions_.emplace_back(action::AbandonGeneration{incoming_.generation, failure});
    phase_ = Phase::running;
    leave_generation(incoming_.generation, Reason::unwanted);
    incoming_ = {};
}

void Supervisor::fail_start(const Failure& failure) {
    actions_.emplace_back(action::StartFailed{failure});
    phase_ = Phase::stopping;
    exit_code_ = exit_failure;
    kill_all(failure.reason == Reason::stopped ? Reason::stopped : Reason::unwanted);
}

void Supervisor::announce_stop(Phase phase) {
    if (reloading()) abandon({Reason::stopped, {}});
    if (upgrading()) abandon_upgrade(Reason::stopped);
    actions_.emplace_back(action::Stopping{});
    phase_ = phase;
}

void Supervisor::stop_and_drain() {
    phase_ = Phase::stopping;
    leave_until_.reset();
    leave_generation(running_.generation, Reason::stopped);
}

void Supervisor::leave_generation(Generation generation, Reason reason) {
    for (Worker& worker : workers_)
        if (worker.generation == generation) leave(worker, reason);
}

void Supervisor::kill_all(Reason reason) {
    for (Worker& worker : workers_)
        worker.pid.value != 0 ? kill(worker, reason) : leave(worker, reason);
}

// Slots.

void Supervisor::add(SlotId slot, Generation generation) {
    Worker& worker = workers_.emplace_back();
    worker.slot = slot;
    worker.generation = generation;
    spawn(worker);
}

void Supervisor::spawn(Worker& worker) {
    worker.state = WorkerState::spawning;
    worker.pid = {};
    worker.deadline.reset();
    worker.spawned_at = now_;
    actions_.emplace_back(action::Spawn{worker.slot, worker.generation});
}

void Supervisor::rest(Worker& worker, TimePoint until) {
    worker.state = WorkerState::resting;
    worker.pid = {};
    worker.deadline = until;
}

/// When nobody else is to be made again: with many slots it would otherwise be all of them at once.
TimePoint Supervisor::free_for_retry(TimePoint wanted) const {
    std::vector<TimePoint> taken;
    for (const Worker& worker : workers_)
        if (worker.state == WorkerState::resting && worker.deadline)
            taken.push_back(*worker.deadline);
    std::sort(taken.begin(), taken.end());
    for (const TimePoint other : taken)
        if (wanted > other - respawn_spacing && wanted < other + respawn_spacing)
            wanted = other + respawn_spacing;
    return wanted;
}

// At once, unless workers that are done right after READY would make a fork bomb of it.
void Supervisor::respawn(Worker& worker) {
    const TimePoint earliest = worker.spawned_at + respawn_spacing;
    if (now_ >= earliest)
        spawn(worker);
    else
        rest(worker, earliest);
}

// Its worker is no more, or killed and none of the slot's business any longer.
void Supervisor::vacate(Worker& worker, Reason reason) {
    const bool was_ready = worker.state == WorkerState::serving;
    worker.pid = {};
    worker.deadline.reset();
    worker.recycle_due = false;
    stop_watching(worker);
    if (is_incoming(worker)) {
        const Failure failure{reason, worker.slot};
        worker.state = WorkerState::gone;
        return phase_ == Phase::starting ? fail_start(failure) : abandon(failure);
    }
    if (was_ready) return respawn(worker);
    ++worker.failures;
    rest(worker, free_for_retry(now_ + respawn_delay(worker.failures)));
}

void Supervisor::recycle_due_workers() {
    for (std::size_t i = 0; i < workers_.size(); ++i)
        if (workers_[i].recycle_due && !pool_recycles(workers_[i].slot.pool)) recycle(workers_[i]);
}

void Supervisor::recycle(Worker& worker) {
    worker.recycle_due = false;
    workers_.emplace_back(worker).state = WorkerState::retiring;
    stop_watching(worker);
    respawn(worker);
}

void Supervisor::drain_predecessors(const Worker& successor) {
    for (Worker& worker : workers_)
        if (worker.state == WorkerState::retiring && worker.slot == successor.slot &&
            worker.generation == successor.generation)
            drain(worker);
}

// Workers.

// Its slot or its generation is given up.
void Supervisor::leave(Worker& worker, Reason reason) {
    switch (worker.state) {
        case WorkerState::resting:
            worker.state = WorkerState::gone;
            worker.deadline.reset();
            break;
        case WorkerState::spawning:
            worker.state = WorkerState::unwanted;
            break;
        case WorkerState::starting:
            kill(worker, reason);
            break;
        case WorkerState::serving:
        case WorkerState::retiring:
            drain(worker);
            break;
        default:
            break;
    }
}

void Supervisor::drain(Worker& worker) {
    worker.state = WorkerState::draining;
    worker.recycle_due = false;
    worker.deadline = now_ + policy_of(worker).drain_timeout + drain_margin;
    actions_.emplace_back(action::Drain{worker.pid});
}

// Kills it; its slot, if it has one, goes on at once: reaping a killed process may take its time.
void Supervisor::expel(Worker& worker, Reason reason) {
    if (!holds_slot(worker.state)) return kill(worker, reason);
    kill(workers_.emplace_back(worker), reason);
    vacate(worker, reason);
}

void Supervisor::kill(Worker& worker, Reason reason) {
    if (worker.state == WorkerState::killed) return;
    worker.state = WorkerState::killed;
    worker.recycle_due = false;
    worker.deadline.reset();
    stop_watching(worker);
    actions_.emplace_back(action::Kill{worker.pid, SIGKILL, reason});
}

void Supervisor::end_wait(Worker& worker) {
    switch (worker.state) {
        case WorkerState::resting:
            spawn(worker);
            break;
        case WorkerState::starting:
            expel(worker, Reason::ready_timeout);
            break;
        default:
            kill(worker, Reason::drain_timeout);
            break;
    }
}

// It has been stale for as long as that is borne.
void Supervisor::end_patience(Worker& worker) {
    if (worker.aborted) return expel(worker, Reason::hung);
    worker.aborted = true;
    actions_.emplace_back(action::Kill{worker.pid, SIGABRT, Reason::hung});
}

// Questions.

bool Supervisor::in_service() const {
    return phase_ == Phase::running || reloading() || upgrading();
}

bool Supervisor::raising() const {
    return phase_ == Phase::starting || phase_ == Phase::reloading;
}

bool Supervisor::is_incoming(const Worker& worker) const {
    return raising() && worker.generation == incoming_.generation;
}

bool Supervisor::every_incoming_worker_serves() const {
    return std::ranges::all_of(workers_, [this](const Worker& worker) {
        return !is_incoming(worker) || worker.state == WorkerState::serving;
    });
}

bool Supervisor::pool_recycles(PoolId pool) const {
    return std::ranges::any_of(workers_, [pool](const Worker& worker) {
        return worker.slot.pool == pool && worker.state == WorkerState::retiring;
    });
}

std::optional<TimePoint> Supervisor::hang_deadline(const Worker& worker) const {
    if (!worker.stale_since) return std::nullopt;
    const milliseconds limit = policy_of(worker).hang_timeout;
    return *worker.stale_since + (worker.aborted ? limit : abort_delay(limit));
}

const Policy& Supervisor::policy_of(const Worker& worker) const {
    return worker.generation == incoming_.generation ? incoming_.policy : running_.policy;
}

std::uint32_t Supervisor::slots_of(PoolId pool) const {
    const auto slots = std::ranges::count_if(workers_, [&](const Worker& worker) {
        return worker.slot.pool == pool && holds_slot(worker.state);
    });
    return static_cast<std::uint32_t>(slots);
}

Worker* Supervisor::find(Pid pid) {
    const auto found =
        std::ranges::find_if(workers_, [pid](const Worker& worker) { return worker.pid == pid; });
    return pid.value != 0 && found != workers_.end() ? &*found : nullptr;
}

Worker* Supervisor::find_order(SlotId slot, Generation generation) {
    const auto found = std::ranges::find_if(workers_, [&](const Worker& worker) {
        return worker.slot == slot && worker.generation == generation &&
               (worker.state == WorkerState::spawning || worker.state == WorkerState::unwanted);
    });
    return found != workers_.end() ? &*found : nullptr;
}

}  // namespace preforkd::master
