#include "tests/unit/supervisor_world.hpp"

#include <algorithm>
#include <csignal>

#include "tests/unit/supervisor_driver.hpp"

namespace preforkd::master::test {

namespace {

bool holds_slot(WorkerState state) {
    return state <= WorkerState::serving;
}

std::map<PoolId, std::uint32_t> sizes_of(const Policy& policy) {
    std::map<PoolId, std::uint32_t> sizes;
    for (const PoolPolicy& pool : policy.pools) sizes[pool.id] = pool.workers;
    return sizes;
}

}  // namespace

void World::tell(const Event& event) {
    if (tracing_) note(fmt::format("{} ms: {}", now.time_since_epoch() / 1ms, text(event)));
    ++events;
    resized_away_.reset();
    offenders_.clear();
    upgrade_fails_.reset();
    foresee(event);
    const Actions actions = supervisor.handle(event, now);
    if (tracing_ && !actions.empty()) note("    " + text(actions));
    for (const Action& action : actions)
        std::visit([this](const auto& ordered) { carry_out(ordered); }, action);
    verify(event);
    // What is wrong with the table without leading to an action stays wrong for a while.
    if (!actions.empty() || events % 8 == 0) check_table();
}

void World::answer(const Order& order, bool success) {
    static constexpr pid_t first_pid = 100;
    const pid_t next = processes.empty() ? first_pid : processes.rbegin()->first.value + 1;
    if (success)
        tell(WorkerSpawned{order.slot, order.generation, Pid{next}});
    else
        tell(SpawnFailed{order.slot, order.generation});
}

void World::answer_load(const std::optional<Policy>& accepted) {
    if (accepted)
        tell(ConfigAccepted{*accepted});
    else
        tell(ConfigRefused{});
}

void World::answer_execution(bool took_over) {
    while (!orders.empty()) answer(orders.front(), true);
    if (!executing) return;  // the answers can't lead to that, but what broke is told elsewhere
    supervisor = Supervisor(supervisor.snapshot());
    check_table();
    if (took_over)
        tell(TookOver{});
    else
        tell(NotExecuted{});
}

void World::pass_to_deadline() {
    if (const auto deadline = supervisor.next_deadline()) now = std::max(now, *deadline);
    tell(TimePassed{});
}

bool World::is_whole() const {
    const bool idle = orders.empty() && !loading_ && !hup_pending_ && !upgrading();
    std::size_t slots = 0;
    for (const auto& [pool, workers] : sizes_) slots += workers;
    return idle && processes.size() == slots && every_slot_ready(in_service_, sizes_);
}

// What an event changes in the world, before the supervisor hears of it.

void World::foresee(const Event& event) {
    if (exited) return;
    if (const auto* start = std::get_if<Start>(&event); start && raised_ == Generation{0}) {
        raised_ = Generation{1};
        raising_ = !stopping;
        policies_[raised_] = start->policy;
        incoming_sizes_ = sizes_of(start->policy);
    } else if (const auto* accepted = std::get_if<ConfigAccepted>(&event);
               accepted && loading_ && load_unanswered) {
        load_unanswered = false;
        raising_ = true;
        raised_ = *loading_;
        policies_[raised_] = accepted->policy;
        incoming_sizes_ = sizes_of(accepted->policy);
    } else if (std::holds_alternative<ConfigRefused>(event)) {
        load_unanswered = false;
    } else if (std::holds_alternative<HupReceived>(event)) {
        hup_pending_ = true;
    } else if (std::holds_alternative<Usr2Received>(event)) {
        usr2_pending_ = true;
    } else if (std::holds_alternative<ImageRefused>(event) && proving) {
        upgrade_fails_ = Reason::image_refused;
    } else if (std::holds_alternative<NotExecuted>(event) && executing) {
        upgrade_fails_ = Reason::not_executed;
    } else if (std::holds_alternative<TookOver>(event) && executing) {
        executing = false;
        hup_pending_ = true;  // it ends as a HUP does
    } else if (const auto* spawned = std::get_if<WorkerSpawned>(&event)) {
        foresee_spawned(*spawned);
    } else if (const auto* failed = std::get_if<SpawnFailed>(&event)) {
        const auto order = std::ranges::find_if(orders, [&](const Order& o) {
            return o.slot == failed->slot && o.generation == failed->generation;
        });
        if (order != orders.end()) orders.erase(order);
    } else if (const auto* ready = std::get_if<WorkerReady>(&event)) {
        foresee_ready(ready->pid);
    } else if (const auto* cannot = std::get_if<WorkerFailed>(&event)) {
        offenders_.insert(cannot->pid);
    } else if (const auto* unreachable = std::get_if<WorkerUnreachable>(&event)) {
        offenders_.insert(unreachable->pid);
    } else if (const auto* misbehaved = std::get_if<WorkerMisbehaved>(&event)) {
        offenders_.insert(misbehaved->pid);
    } else if (const auto* due = std::get_if<RecycleDue>(&event)) {
        const auto process = processes.find(due->pid);
        if (process != processes.end() && process->second.ready) process->second.recycle_due = true;
    } else if (const auto* stale = std::get_if<WorkerStale>(&event)) {
        const auto process = processes.find(stale->pid);
        if (process != processes.end() && process->second.ready && !process->second.killed &&
            !process->second.stale_since)
            process->second.stale_since = now;
    } else if (const auto* well = std::get_if<WorkerRecovered>(&event)) {
        const auto process = processes.find(well->pid);
        if (process != processes.end() && !process->second.aborted)
            process->second.stale_since.reset();
    } else if (const auto* gone = std::get_if<WorkerExited>(&event)) {
        processes.erase(gone->pid);
    } else if (std::holds_alternative<TtinReceived>(event)) {
        foresee_resize(true);
    } else if (std::holds_alternative<TtouReceived>(event)) {
        foresee_resize(false);
    }
}

void World::foresee_spawned(const WorkerSpawned& spawned) {
    const auto order = std::ranges::find_if(orders, [&](const Order& o) {
        return o.slot == spawned.slot && o.generation == spawned.generation;
    });
    if (order == orders.end()) return;
    if (!order->wanted) offenders_.insert(spawned.pid);
    orders.erase(order);
    processes[spawned.pid] = {.slot = spawned.slot,
                              .generation = spawned.generation,
                              .spawned_at = now,
                              .drained_at = {}};
}

void World::foresee_ready(Pid pid) {
    const auto process = processes.find(pid);
    if (process == processes.end() || process->second.killed) return;
    if (process->second.ready)
        offenders_.insert(pid);
    else
        process->second.ready = true;
}

void World::foresee_resize(bool more) {
    if (!at_rest()) return;
    const PoolId first = policy_of(in_service_).pools.front().id;
    std::uint32_t& workers = sizes_[first];
    if (more && workers < max_pool_workers) ++workers;
    if (more || workers == 1) return;
    --workers;
    resized_away_ = SlotId{first, workers};
    last_spawns_.erase({*resized_away_, in_service_});
    for (Order& order : orders)
        if (order.slot == *resized_away_ && order.generation == in_service_) order.wanted = false;
}

// What must hold when the event is dealt with.

void World::verify(const Event& event) {
    for (const Pid pid : offenders_) {
        const auto process = processes.find(pid);
        require(process == processes.end() || process->second.killed, "an offender was not killed");
    }
    const auto all = [this](auto&& holds) {
        return std::ranges::all_of(processes,
                                   [&](const auto& entry) { return holds(entry.second); });
    };
    if (std::holds_alternative<TermReceived>(event))
        require(all([](const Process& p) { return !p.live(); }), "TERM left a worker alone");
    if (std::holds_alternative<QuitReceived>(event))
        require(all([](const Process& p) { return p.killed; }), "QUIT left a worker alive");
    if (std::holds_alternative<TermReceived>(event) || std::holds_alternative<QuitReceived>(event))
        require(stopping || exited, "told to stop, it did not");
    if (stopping) require(exited == (processes.empty() && orders.empty()), "Exit early or late");
    if (at_rest() && !upgrading()) {
        require(!hup_pending_, "a HUP was forgotten");
        require(!usr2_pending_, "a USR2 was forgotten");
    }
    require(!upgrade_fails_, "a failed upgrade goes on");
    if (std::holds_alternative<TimePassed>(event)) {
        const auto next = supervisor.next_deadline();
        require(!next || *next > now, "a deadline that never passes: a busy loop");
        require(all([this](const Process& p) { return p.killed || p.aborted || !is_hung(p); }),
                "a hung worker was left alone");
    }
}

// What the supervisor orders.

void World::carry_out(const action::Spawn& spawn) {
    require(!stopping && !exited, "spawned while stopping");
    const bool incoming = raising_ && spawn.generation == raised_;
    require(incoming || (started && spawn.generation == in_service_), "spawned for no generation");
    const Sizes& sizes = incoming ? incoming_sizes_ : sizes_;
    const auto size = sizes.find(spawn.slot.pool);
    require(size != sizes.end() && spawn.slot.index < size->second, "spawned for no slot");
    for (const Order& order : orders)
        require(!order.wanted || order.slot != spawn.slot || order.generation != spawn.generation,
                "ordered a second worker for a slot");
    int predecessors = 0;
    for (const auto& [pid, process] : processes)
        if (process.slot == spawn.slot && process.generation == spawn.generation &&
            process.live()) {
            require(process.ready && process.recycle_due, "spawned beside a live worker");
            require(++predecessors == 1, "spawned beside two live workers");
        }
    TimePoint& last = last_spawns_[{spawn.slot, spawn.generation}];
    require(now >= last + respawn_spacing, "spawned too soon after the last time");
    last = now;
    orders.push_back({spawn.slot, spawn.generation});
}

void World::carry_out(const action::Drain& drain) {
    const auto found = processes.find(drain.pid);
    require(found != processes.end(), "drained an unknown process");
    Process& process = found->second;
    require(process.ready, "drained a worker that is not READY");
    require(!process.drained, "drained twice");
    require(!process.killed, "drained a killed worker");
    require(may_go(process) || has_ready_successor(drain.pid, process),
            "drained a worker that is needed");
    process.drained = true;
    process.drained_at = now;
}

void World::carry_out(const action::Kill& kill) {
    const auto found = processes.find(kill.pid);
    require(found != processes.end(), "killed an unknown process");
    Process& process = found->second;
    if (kill.signal == SIGABRT) {
        require(kill.reason == Reason::hung && is_hung(process), "aborted though it was not hung");
        require(!process.aborted && !process.killed, "aborted twice, or after its end");
        process.aborted = true;
        return;
    }
    require(kill.signal == SIGKILL, "killed with another signal");
    require(!process.killed, "killed twice");
    const Policy& policy = policy_of(process.generation);
    if (kill.reason == Reason::ready_timeout)
        require(!process.ready && now >= process.spawned_at + policy.ready_timeout,
                "killed as late before its time");
    else if (kill.reason == Reason::drain_timeout)
        require(process.drained && now >= process.drained_at + policy.drain_timeout + drain_margin,
                "killed as draining too long before its time");
    else if (kill.reason == Reason::hung)
        require(process.aborted && now >= *process.stale_since + policy.hang_timeout,
                "killed as hung before its time");
    else
        require(offenders_.contains(kill.pid) || may_go(process), "killed without a reason");
    require(!process.ready || process.drained || process.aborted || offenders_.contains(kill.pid) ||
                stopping,
            "killed a READY worker that could have drained");
    process.killed = true;
}

void World::carry_out(const action::LoadConfig& load) {
    require(at_rest() && !upgrading(), "loads while it is not at rest");
    require(hup_pending_, "loads though nobody asked");
    require(load.generation == Generation{raised_.value + 1}, "loads a wrong number");
    hup_pending_ = false;
    loading_ = load.generation;
    load_unanswered = true;
}

void World::carry_out(const action::CommitGeneration& commit) {
    require(loading_ == commit.generation && raising_, "committed what it did not raise");
    require(every_slot_ready(commit.generation, incoming_sizes_), "committed too early");
    give_up_orders(in_service_);
    in_service_ = commit.generation;
    sizes_ = incoming_sizes_;
    raising_ = false;
    loading_.reset();
}

void World::carry_out(const action::AbandonGeneration& abandon) {
    require(loading_ == abandon.generation, "abandoned what it did not load");
    require(abandon.failure.slot.has_value() == (abandon.failure.reason < Reason::unwanted &&
                                                 abandon.failure.reason != Reason::config_refused),
            "abandoned with or without a slot wrongly");
    give_up_orders(abandon.generation);
    raising_ = false;
    loading_.reset();
}

void World::carry_out(const action::ProveImage&) {
    require(at_rest() && !upgrading(), "proves while it is not at rest");
    require(usr2_pending_, "proves though nobody asked");
    usr2_pending_ = false;
    proving = true;
    proof_began_ = now;
}

void World::carry_out(const action::ExecuteImage&) {
    require(proving, "executes what is not proven");
    proving = false;
    executing = true;
}

void World::carry_out(const action::AbandonUpgrade& abandon) {
    require(upgrading(), "abandons no upgrade");
    if (abandon.reason == Reason::image_late)
        require(proving && now >= proof_began_ + proof_timeout, "gave up a proof before its time");
    else if (abandon.reason == Reason::stopped)
        require(!upgrade_fails_, "wrong about why an upgrade fails");
    else
        require(upgrade_fails_ == abandon.reason, "abandons an upgrade without a reason");
    upgrade_fails_.reset();
    proving = executing = false;
}

void World::carry_out(const action::Started&) {
    require(!started && !stopping && raising_, "Started out of turn");
    require(every_slot_ready(Generation{1}, incoming_sizes_), "Started too early");
    started = true;
    raising_ = false;
    in_service_ = Generation{1};
    sizes_ = incoming_sizes_;
}

void World::carry_out(const action::StartFailed&) {
    require(!started && !stopping, "StartFailed out of turn");
    stopping = true;
    raising_ = false;
    give_up_orders(Generation{1});
}

void World::carry_out(const action::Stopping&) {
    require(started && !stopping && !loading_ && !upgrading(), "Stopping out of turn");
    stopping = true;
    give_up_orders(in_service_);
}

void World::carry_out(const action::Exit& exit) {
    require(stopping && !exited, "Exit out of turn");
    require(processes.empty() && orders.empty(), "Exit before the last worker is gone");
    require(exit.code == (started ? 0 : 1), "a wrong exit code");
    exited = true;
}

// The supervisor's table against the world.

void World::check_table() const {
    std::size_t entries_with_process = 0;
    std::size_t unanswered = 0;
    std::set<PoolId> recycling;
    for (const Worker& worker : supervisor.workers()) {
        check_entry(worker);
        entries_with_process += worker.pid.value != 0;
        unanswered +=
            worker.state == WorkerState::spawning || worker.state == WorkerState::unwanted;
        if (worker.state == WorkerState::retiring)
            require(recycling.insert(worker.slot.pool).second, "two recyclings in a pool");
    }
    require(entries_with_process == processes.size(), "a process is lost or known twice");
    require(unanswered == orders.size(), "an order is lost or known twice");
    check_slots();
}

void World::check_entry(const Worker& worker) const {
    require(worker.state != WorkerState::gone, "a gone worker is still known");
    require((worker.state == WorkerState::resting || worker.state == WorkerState::starting ||
             worker.state == WorkerState::draining) == worker.deadline.has_value(),
            "a deadline is missing or left over");
    if (worker.pid.value == 0) {
        require(worker.state == WorkerState::resting || worker.state == WorkerState::spawning ||
                    worker.state == WorkerState::unwanted,
                "a live state without a process");
        return;
    }
    const auto found = processes.find(worker.pid);
    require(found != processes.end(), "knows a process that is gone");
    const Process& process = found->second;
    require(process.slot == worker.slot && process.generation == worker.generation,
            "a process in a wrong slot or generation");
    require(process.killed == (worker.state == WorkerState::killed), "wrong about a kill");
    require(process.killed || process.stale_since == worker.stale_since, "wrong about a hang");
    require(process.killed || process.drained == (worker.state == WorkerState::draining),
            "wrong about a drain");
    require(!process.live() || process.ready == (worker.state != WorkerState::starting),
            "wrong about READY");
}

void World::check_slots() const {
    if (started && !stopping) check_slots_of(in_service_, sizes_);
    if (raising_) check_slots_of(raised_, incoming_sizes_);
    if (!stopping) return;
    for (const Worker& worker : supervisor.workers())
        require(!holds_slot(worker.state), "a slot is kept while stopping");
}

// Exactly one entry for each slot: never empty for ever (check_entry saw a resting one's deadline),
// never two workers.
void World::check_slots_of(Generation generation, const Sizes& sizes) const {
    std::set<SlotId> seen;
    for (const Worker& worker : supervisor.workers()) {
        if (!holds_slot(worker.state) || worker.generation != generation) continue;
        require(seen.insert(worker.slot).second, "two workers in a slot");
        const auto size = sizes.find(worker.slot.pool);
        require(size != sizes.end() && worker.slot.index < size->second, "a slot of no pool");
    }
    std::size_t slots = 0;
    for (const auto& [pool, workers] : sizes) slots += workers;
    require(seen.size() == slots, "a slot is lost");
}

// Questions.

// Its slot, its generation or everything is given up.
bool World::may_go(const Process& process) const {
    const bool incoming = raising_ && process.generation == raised_;
    const bool serving = started && process.generation == in_service_;
    const bool slot_goes = serving && resized_away_ == process.slot;
    return stopping || slot_goes || (!incoming && !serving);
}

bool World::has_ready_successor(Pid pid, const Process& process) const {
    return process.recycle_due && std::ranges::any_of(processes, [&](const auto& entry) {
               const auto& [other_pid, other] = entry;
               return other_pid != pid && other.slot == process.slot && other.ready &&
                      other.generation == process.generation && other.live();
           });
}

bool World::every_slot_ready(Generation generation, const Sizes& sizes) const {
    std::map<PoolId, std::set<std::uint32_t>> ready;
    for (const auto& [pid, process] : processes)
        if (process.generation == generation && process.ready && process.live())
            ready[process.slot.pool].insert(process.slot.index);
    return std::ranges::all_of(
        sizes, [&](const auto& size) { return ready[size.first].size() >= size.second; });
}

bool World::is_hung(const Process& process) const {
    return process.stale_since &&
           now >= *process.stale_since + abort_delay(policy_of(process.generation).hang_timeout);
}

const Policy& World::policy_of(Generation generation) const {
    return policies_.at(generation);
}

void World::give_up_orders(Generation generation) {
    for (Order& order : orders)
        if (order.generation == generation) order.wanted = false;
}

void World::require(bool holds, const char* what) const {
    if (!holds) throw Broken{what};
}

void World::note(std::string line) {
    trace_.push_back(std::move(line));
}

}  // namespace preforkd::master::test
