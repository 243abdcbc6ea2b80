#include <fmt/format.h>

#include "master/capabilities.hpp"
#include "master/exec_in_place.hpp"
#include "master/master.hpp"
#include "shared/exit_code.hpp"
#include "shared/syscalls.hpp"

// The master's part in an upgrade: before the exec, and after it.

namespace preforkd::master {
namespace {

constexpr std::size_t longest_version = 100;
constexpr std::size_t largest_configuration = 4u << 20;

Result<UniqueFd> in_memory(const UpgradeState& state) {
    return sealed_memory("preforkd-upgrade-state", encode(state));
}

/// Each line escaped, for the text comes from a program that is not trusted to be one of ours.
std::string printable_lines(std::string_view text) {
    std::string lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines += escape_for_log(text.substr(0, end)) + "\n";
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

}  // namespace

// Each step waits until every event before it is dealt with: the state must hold together, and what
// happened may have called the upgrade off. The exec waits as well for what is told within a second
// or closes within a few: the next program need not know how to go on with that.

void Master::perform(const action::ProveImage&) {
    upgrade_step_due_ = true;
}

void Master::perform(const action::ExecuteImage&) {
    upgrade_step_due_ = true;
}

void Master::take_upgrade_step() {
    if (!upgrade_step_due_ || reaping_) return;
    const Phase phase = supervisor_.phase();
    if (phase == Phase::executing && (verdict_due_ || !listening_.is_calm())) return;
    upgrade_step_due_ = false;
    if (phase == Phase::proving) prove_next_image();
    if (phase == Phase::executing) execute_next_image();
}

// ---- Proving ----

void Master::prove_next_image() {
    announce_reload();
    log_.notice("upgrade begins",
                {{"program", parts_.start.image_path}, {"running", parts_.version}});
    announce_reloading();
    orders_taken_ = scoreboard_.orders();
    last_trouble_.clear();
    next_version_.clear();
    try {
        const FileAccess as_at_start;
        next_image_ = open_image(parts_.start.image_path, parts_.spawner->credentials());
        const auto state = in_memory(save());
        if (!state)
            throw StartupError(exit_failure, "can't keep the state: " + state.error().message());
        proof_ = std::make_unique<ImageProof>(next_image_->file, *state, parts_.start.program,
                                              parts_.start.environment);
    } catch (const std::exception& error) {  // memory or descriptors, too
        last_trouble_ = error.what();
        handle(event::ImageRefused{});
    }
}

void Master::on_proof(const ProofAnswer& answer) {
    proof_.reset();
    if (!answer.proven) {
        last_trouble_ = printable_lines(answer.text);
        return handle(event::ImageRefused{});
    }
    next_version_ = escape_for_log(answer.text, longest_version);
    handle(event::ImageProven{});
}

void Master::perform(const action::AbandonUpgrade& abandon) {
    proof_.reset();
    next_image_.reset();
    std::string why(to_string(abandon.reason));
    if (abandon.reason == Reason::image_late)
        why += fmt::format(" ({} s)", proof_timeout.count());
    else if (!last_trouble_.empty())
        why = on_one_line(last_trouble_);
    conclude(Verdict::Kind::upgrade, false, "upgrade refused; the running program goes on",
             {{"running", parts_.version}, {"refused", next_version_}, {"why", why}},
             "upgrade refused: " + why);
    parts_.notifier.send("READY=1");
}

// ---- Executing ----

void Master::execute_next_image() {
    log_.notice("executing the new program", {{"from", parts_.version}, {"to", next_version_}});
    try {
        last_trouble_ = why_not_executed();
    } catch (const std::exception& error) {
        last_trouble_ = error.what();
    }
    handle(event::NotExecuted{});
}

/// Returns only if the program is not executed.
std::string Master::why_not_executed() const {
    if (!next_image_->is_unchanged())
        return "its file was changed after it had been proven; put a new file in its place, and "
               "don't write into it";
    const UpgradeState state = save();
    const auto memory = in_memory(state);
    if (!memory) return "can't keep the state: " + memory.error().message();
    const Succession succession{title(), parts_.start.environment, state.descriptors(),
                                memory->get(), parts_.spawner->image().get()};
    return "can't execute it: " + execute_in_place(next_image_->file, succession).message();
}

UpgradeState Master::save() const {
    const Deployment& deployment = deployments_.rbegin()->second;
    UpgradeState state;
    state.version = parts_.version;
    state.master = Pid{::getpid()};
    state.start = parts_.start;
    state.callers_stderr = descriptor_of(parts_.callers_stderr);
    if (parts_.lock) {
        state.lock_path = parts_.lock->path();
        state.lock = descriptor_of(parts_.lock->fd());
    }
    state.notifier = descriptor_of(parts_.notifier.socket());
    state.watchdog = parts_.watchdog;
    state.pools = pools_.names();
    state.supervisor = supervisor_.snapshot();
    const auto text = read_all(deployment.config_text, largest_configuration);
    if (!text)
        throw StartupError(exit_failure,
                           "can't read the running configuration: " + text.error().message());
    state.deployment = master::save(deployment, *text);
    state.workers = workers_.save(deployment.listeners.groups());
    for (SavedWorker& worker : state.workers) worker.full = listening_.health().is_full(worker.pid);
    state.scoreboard = master::save(scoreboard_.state());
    state.started_at = started_at_;
    state.verdict = verdict_;
    return state;
}

// ---- After the exec ----

int Master::go_on(const Succeeding& succeeding) {
    const UpgradeState& state = succeeding.state;
    try {
        for (const std::string& pool : state.pools) (void)pools_.id_of(pool);
        supervisor_ = Supervisor(state.supervisor);
        deployments_.emplace(state.supervisor.generation, std::move(parts_.deployment));
        workers_.restore(state.workers, in_service().listeners.groups());
        for (const SavedWorker& worker : state.workers)
            if (worker.full) listening_.health().set_full(worker.pid, true);
        scoreboard_.restore(restore_scoreboard(state.scoreboard));
        for (auto& [pid, worker] : workers_) {
            if (!worker.silenced) watch(worker.process);
            go_on_watching(worker);
        }
    } catch (const std::exception& error) {
        succeeding.give_up(error.what());
    }
    started_at_ = state.started_at;
    verdict_ = state.verdict;
    succeeding.settle();
    if (watchdog_due_) parts_.notifier.send("WATCHDOG=1");
    if (succeeding.came_back) {
        last_trouble_ = *succeeding.came_back;
        handle(event::NotExecuted{});
    } else {
        upgraded_from_ = state.version;
        log_.notice(
            "took over",
            {{"from", state.version}, {"to", parts_.version}, {"workers", state.workers.size()}});
        handle(event::TookOver{});
    }
    on_child_ended();  // their SIGCHLD may have been lost on the way
    loop_.run();
    return exit_code_;
}

}  // namespace preforkd::master
