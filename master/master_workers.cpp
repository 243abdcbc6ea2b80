#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "master/master.hpp"
#include "shared/channel.hpp"
#include "shared/syscalls.hpp"

// The workers' lives: how they are started, what they say, and how they end.

namespace preforkd::master {
namespace {

/// A worker that floods its channel gets this many messages read before others have their turn.
constexpr int messages_per_turn = 16;

/// More than any worker has reason to say in a second; each may cost the master system calls.
constexpr unsigned messages_per_second = 500;

bool is_flooding(WorkerProcess& worker) {
    const TimePoint now = Clock::now();
    if (now - worker.counting_since >= seconds(1)) {
        worker.counting_since = now;
        worker.messages = 0;
    }
    return ++worker.messages > messages_per_second;
}

ExitKind kind_of_end(Reason reason, const WorkerProcess& worker) noexcept {
    if (reason == Reason::hung) return ExitKind::hung;
    if (reason != Reason::worker_failed) return ExitKind::killed;
    return worker.ready ? ExitKind::crashed : ExitKind::failed_to_start;
}

std::string uptime_of(const WorkerProcess& worker) {
    const auto uptime = std::chrono::duration_cast<milliseconds>(Clock::now() - worker.spawned_at);
    return fmt::format("{}ms", uptime.count());
}

}  // namespace

// ---- Their start ----

void Master::perform(const action::Spawn& spawn) {
    const Deployment& deployment = deployments_.at(spawn.generation);
    const std::string title = fmt::format("{}: worker {} gen {}", deployment.config.program,
                                          pools_.text(spawn.slot), spawn.generation.value);
    if (const error_code error =
            provide_places(deployment, pools_.name_of(spawn.slot.pool), spawn.slot.index)) {
        last_trouble_ = "can't listen: " + with_limit_advice(error);
        log_.error("can't open the listening sockets of a worker",
                   {{"slot", pools_.text(spawn.slot)}, {"why", with_limit_advice(error)}});
        return handle(event::SpawnFailed{spawn.slot, spawn.generation});
    }
    auto process = parts_.spawner->spawn(title, deployment.logs.output, deployment.logs.error);
    if (!process) return spawn_failed(spawn, "fork failed: " + with_limit_advice(process.error()));
    try {
        watch(*process);
    } catch (const std::system_error& error) {  // the limit on watches, or memory
        kill_and_reap(*process);
        return spawn_failed(spawn, error.what());
    }
    enlist(std::move(*process), spawn);
}

void Master::spawn_failed(const action::Spawn& spawn, std::string why) {
    last_trouble_ = std::move(why);
    log_.error("can't start a worker process",
               {{"slot", pools_.text(spawn.slot)}, {"why", last_trouble_}});
    handle(event::SpawnFailed{spawn.slot, spawn.generation});
}

void Master::enlist(SpawnedWorker process, const action::Spawn& spawn) {
    const Pid pid = process.pid;
    const Deployment& deployment = deployments_.at(spawn.generation);
    const WorkerName name{pools_.name_of(spawn.slot.pool), spawn.slot.index, spawn.generation,
                          pools_.text(spawn.slot)};
    WorkerProcess& worker = workers_.add(
        {std::move(process), spawn.slot, spawn.generation, Clock::now(), /*ready=*/false});
    for (Place& place : places_of(deployment, name.pool, name.slot))
        worker.places.push_back({std::move(place)});
    watch_over(worker);
    handle(event::WorkerSpawned{spawn.slot, spawn.generation, pid});
    error_code error = hand_over(deployment, worker.process.channel, name);
    if (!error) error = hand_over_scoreboard(worker);
    if (!error) error = hand_over_kernel(parts_.start.kernel, worker.process.channel);
    if (!error) error = send_to_worker(worker.process.channel, MessageKind::start);
    if (error) on_unreachable(worker, error);
}

/// EPIPE: it has died already, and SIGCHLD will tell.
void Master::on_unreachable(const WorkerProcess& worker, error_code error) {
    if (error.value() == EPIPE) return;
    const Pid pid = worker.process.pid;
    const std::string why = with_limit_advice(error);
    last_trouble_ = "it could not be sent what it needs: " + why;
    log_.error("can't send a worker what it needs; it is killed",
               {{"slot", pools_.text(worker.slot)}, {"worker", pid.value}, {"why", why}});
    handle(event::WorkerUnreachable{pid});
}

void Master::watch(const SpawnedWorker& process) {
    loop_.watch(process.channel, [this, pid = process.pid] { on_message(pid); });
}

// ---- What they say ----

/// Nothing more is read from it: whatever it sends is not for us, and may be much.
void Master::on_misbehaviour(WorkerProcess& worker, std::string_view what) {
    const Pid pid = worker.process.pid;
    log_.error(fmt::format("worker sent {} and is killed", what),
               {{"slot", pools_.text(worker.slot)}, {"worker", pid.value}});
    last_trouble_ = fmt::format("it sent {}", what);
    loop_.forget(worker.process.channel);
    worker.silenced = true;
    handle(event::WorkerMisbehaved{pid});
}

void Master::on_message(Pid pid) {
    for (int i = 0; i < messages_per_turn; ++i) {
        WorkerProcess* const worker = workers_.find(pid);
        if (worker == nullptr || worker->silenced) return;
        const auto message = receive_from_worker(worker->process.channel);
        if (!message) {
            // Its end is closed: it is exiting, and SIGCHLD will tell.
            if (message.error().value() == EPIPE) loop_.forget(worker->process.channel);
            if (message.error().value() == EBADMSG) return on_misbehaviour(*worker);
            if (message.error().value() != EINTR) return;
        } else if (is_flooding(*worker)) {
            return on_misbehaviour(*worker, "too many messages");
        } else {
            on_message(*worker, *message);
        }
    }
}

void Master::on_message(WorkerProcess& worker, const Message& message) {
    const Pid pid = worker.process.pid;
    switch (message.kind) {
        case MessageKind::ready:
            if (worker.ready) return on_misbehaviour(worker);
            worker.ready = true;
            on_counting(worker);
            return handle(event::WorkerReady{pid});
        case MessageKind::recycle:
            return on_recycle(worker, message.get_text());
        case MessageKind::deaf:
            return on_deaf(worker);
        case MessageKind::stopped:
            if (message.section >= worker.places.size()) return on_misbehaviour(worker);
            listening_.on_stopped(worker, message.section);
            announce_when_alone();
            take_upgrade_step();
            publish_status();
            return arm_timer();
        case MessageKind::full:
            listening_.health().set_full(pid, message.section != 0);
            update_listening();
            return log_.debug(message.section != 0 ? "worker is full" : "worker has room",
                              {{"slot", pools_.text(worker.slot)}, {"worker", pid.value}});
        default:
            return on_failed(worker, message.get_text());
    }
}

void Master::tell_ready(Pid pid) {
    const WorkerProcess* const worker = workers_.find(pid);
    log_.info("worker ready", {{"slot", pools_.text(worker->slot)},
                               {"worker", pid.value},
                               {"generation", worker->generation.value},
                               {"after", uptime_of(*worker)}});
}

/// It can't accept where somebody has shut its socket down. Where that can't be mended, its
/// successor couldn't either.
void Master::on_deaf(const WorkerProcess& worker) {
    const Pid pid = worker.process.pid;
    mend_listening();
    if (!listening_.is_deaf(worker)) handle(event::RecycleDue{pid});
}

/// By its own account. It is about to exit; one that isn't is nothing that should live on.
void Master::on_failed(WorkerProcess& worker, std::string_view why) {
    const Pid pid = worker.process.pid;
    last_trouble_ = escape_for_log(why);
    log_.error(worker.ready ? "worker has failed" : "worker can't start",
               {{"slot", pools_.text(worker.slot)}, {"worker", pid.value}, {"why", why}});
    loop_.forget(worker.process.channel);
    worker.silenced = true;
    handle(event::WorkerFailed{pid});
}

// ---- Their end ----

void Master::perform(const action::Drain& drain) {
    WorkerProcess* const worker = workers_.find(drain.pid);
    if (worker == nullptr) return;
    const error_code error = listening_.drain(*worker);
    log_.info("worker drains", {{"slot", pools_.text(worker->slot)},
                                {"worker", drain.pid.value},
                                {"generation", worker->generation.value}});
    if (error) on_unreachable(*worker, error);
}

void Master::perform(const action::Kill& kill) {
    WorkerProcess* const worker = workers_.find(kill.pid);
    if (worker == nullptr) return;
    worker->doom = kind_of_end(kill.reason, *worker);
    if (last_trouble_.empty()) last_trouble_ = to_string(kill.reason);
    const bool is_expected = kill.reason == Reason::unwanted || kill.reason == Reason::stopped;
    log_.log(is_expected ? LogLevel::info : LogLevel::error, "worker is killed",
             {{"slot", pools_.text(worker->slot)},
              {"worker", kill.pid.value},
              {"signal", kill.signal},
              {"why", to_string(kill.reason)}});
    if (kill.signal == SIGABRT) log_hang(*worker);
    (void)send_signal(worker->process.pidfd, kill.signal);
}

void Master::on_child_ended() {
    // No exec in the middle: what is reaped and not dealt with would be nobody's.
    reaping_ = true;
    for (const ExitedProcess& exited : workers_.reap()) on_exited(exited);
    reaping_ = false;
    on_stopped_or_continued();
    take_upgrade_step();
    if (proof_)
        if (const auto answer = proof_->finish()) on_proof(*answer);
    const Pid spared = proof_ ? proof_->pid() : Pid{};
    if (const unsigned orphans = workers_.reap_orphans(spared); orphans > 0)
        log_.debug("orphans reaped", {{"count", orphans}});
}

void Master::on_exited(const ExitedProcess& exited) {
    WorkerProcess* const worker = workers_.find(exited.pid);
    // What it said before it died was sent, so it is still in the channel.
    on_message(exited.pid);
    const std::string slot = pools_.text(worker->slot);
    const std::string how = master::describe(exited);
    log_.log(exited.succeeded() ? LogLevel::info : LogLevel::warning, "worker exited",
             {{"slot", slot},
              {"worker", exited.pid.value},
              {"generation", worker->generation.value},
              {"how", how},
              {"uptime", uptime_of(*worker)}});
    if (exited.code != CLD_EXITED && exited.status == SIGSYS)
        report_forbidden_call(exited.pid, slot);
    if (exited.code == CLD_KILLED && exited.status == SIGKILL && !worker->doom)
        report_foreign_kill(exited.pid, slot);
    if (!worker->ready && last_trouble_.empty())
        last_trouble_ = fmt::format("it died before it was ready: {}", how);
    const ExitKind kind = judge(exited, *worker);
    if (kind == ExitKind::crashed) log_requests_in_flight(*worker);
    scoreboard_.fold(exited.pid.value, worker->page, kind);
    loop_.forget(worker->process.channel);
    loop_.forget(worker->hang_timer);
    workers_.remove(exited.pid);
    listening_.on_exited(exited.pid);
    if (kind != ExitKind::finished) mend_listening();
    handle(event::WorkerExited{exited.pid});
}

/// The kernel tells its own log which call it was, and nobody else.
void Master::report_forbidden_call(Pid pid, std::string_view slot) {
    log_.error(
        fmt::format("worker was killed by seccomp: it made a system call that its sandbox forbids "
                    "(an attack, a bug, or a need that its service doesn't declare). Which one: "
                    "syscall= in the kernel's or the audit log, at 'type=1326' and 'pid={}'; or "
                    "strace -f -p {} as root, until it happens again",
                    pid.value, ::getpid()),
        {{"slot", slot}, {"worker", pid.value}});
}

/// Whoever kills by SIGKILL leaves no trace but, if it was for want of memory, in the kernel's log.
void Master::report_foreign_kill(Pid pid, std::string_view slot) {
    log_.warning(
        fmt::format(
            "worker was killed by SIGKILL, and not by its master: by a person, by the timer of "
            "a board that it held up, or by the kernel because memory ran out, which "
            "journalctl -k then shows as 'Killed process {}'; max_rss or a larger MemoryMax= "
            "helps",
            pid.value),
        {{"slot", slot}, {"worker", pid.value}});
}

}  // namespace preforkd::master
