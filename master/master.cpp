#include "master/master.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <system_error>

#include "master/capabilities.hpp"
#include "shared/channel.hpp"
#include "shared/exit_code.hpp"
#include "shared/process_title.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

/// A worker that floods its channel gets this many messages read before others have their turn.
constexpr int messages_per_turn = 16;

/// Old workers stop accepting within a millisecond of their successors' READY, but for one that
/// hangs: nobody waits for it any longer.
constexpr seconds longest_hand_over{1};

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

/// What a system call says, and what to do if a limit on descriptors makes it say so.
std::string with_advice(error_code error) {
    std::string text = error.message();
    if (error.value() == EMFILE)
        text += "; raise the limit on open files (ulimit -n, LimitNOFILE=)";
    // More on their way than one user may have open; root is spared. unix(7), SCM_RIGHTS
    if (error.value() == ETOOMANYREFS)
        text +=
            ": too many descriptors are on their way to processes of this user; raise the "
            "limit on open files (ulimit -n, LimitNOFILE=), or have fewer workers";
    return text;
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

std::unique_ptr<EventLoop> make_event_loop() {
    return std::make_unique<EventLoop>(std::initializer_list<int>{
        SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGTTIN, SIGTTOU});
}

std::string on_one_line(std::string_view text) {
    std::string line;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view part = text.substr(0, end);
        part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
        if (!line.empty() && !part.empty()) line += "; ";
        line += part;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return line;
}

Master::Master(MasterParts parts, StartupPipe& startup)
    : parts_(std::move(parts)),
      startup_(startup),
      log_(parts_.deployment.logs.error.get(), parts_.deployment.logs.error_style,
           parts_.deployment.config.log_level, parts_.deployment.config.program),
      loop_(*parts_.loop),
      scoreboard_(parts_.deployment.config.program, parts_.version),
      listening_(workers_, log_) {
    listening_.on_misbehaviour = [this](Pid pid) { handle(event::WorkerMisbehaved{pid}); };
    loop_.on_signal = [this](int signal) { on_signal(signal); };
    loop_.on_deadline = [this] { on_deadline(); };
    // Half the interval, as sd_watchdog_enabled(3) advises.
    if (parts_.watchdog) watchdog_due_ = Clock::now() + *parts_.watchdog / 2;
}

int Master::run() {
    const Policy policy = policy_of(parts_.deployment.config, pools_);
    deployments_.emplace(Generation{1}, std::move(parts_.deployment));
    set_process_title(title());
    handle(event::Start{policy});
    loop_.run();
    return exit_code_;
}

// ---- What happens ----

/// Events that come up while one is being handled wait their turn.
void Master::handle(Event event) {
    events_.push(std::move(event));
    if (handling_) return;
    handling_ = true;
    while (!events_.empty()) {
        const Event next = std::move(events_.front());
        events_.pop();
        const Actions actions = supervisor_.handle(next, Clock::now());
        update_listening();
        for (const Action& action : actions)
            std::visit([this](const auto& wanted) { perform(wanted); }, action);
    }
    handling_ = false;
    mend_logs();
    announce_when_alone();
    publish_scoreboard();
    take_upgrade_step();
    publish_status();
    arm_timer();
}

void Master::on_signal(int signal) {
    switch (signal) {
        case SIGCHLD:
            return on_child_ended();
        case SIGHUP:
            scoreboard_.count_order();
            return handle(event::HupReceived{});
        case SIGTERM:
            return handle(event::TermReceived{});
        case SIGINT:
        case SIGQUIT:
            return handle(event::QuitReceived{});
        case SIGUSR2:
            scoreboard_.count_order();
            return handle(event::Usr2Received{});
        case SIGTTIN:
            return resize(event::TtinReceived{}, "no worker more");
        case SIGTTOU:
            return resize(event::TtouReceived{}, "no worker fewer");
        case SIGUSR1:
            return reopen_logs();
        default:
            break;
    }
}

/// Whoever sent it looks for a worker more or fewer, and finds here why there is none.
void Master::resize(const Event& event, std::string_view refusal) {
    const auto is_shared = [](const auto& section) { return serves(shared_pool, section); };
    if (std::ranges::none_of(in_service().config.listeners, is_shared))
        return log_.warning(refusal, {{"why",
                                       "every listener has workers of its own; change those "
                                       "in the configuration and reload"}});
    const PoolId pool = pools_.id_of(shared_pool);
    const auto before = supervisor_.slots_of(pool);
    const std::string why = supervisor_.may_resize()
                                ? "the shared pool has the most or the fewest possible"
                                : fmt::format("the server is {}", to_string(supervisor_.phase()));
    handle(event);
    if (supervisor_.slots_of(pool) == before) log_.warning(refusal, {{"why", why}});
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
            log_.info("worker ready", {{"slot", pools_.text(worker.slot)},
                                       {"worker", pid.value},
                                       {"generation", worker.generation.value},
                                       {"after", uptime_of(worker)}});
            on_counting(worker);
            return handle(event::WorkerReady{pid});
        case MessageKind::recycle:
            return on_recycle(worker, message.get_text());
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

void Master::set_healthy(Pid pid, bool healthy) {
    listening_.health().set_healthy(pid, healthy);
    update_listening();
}

void Master::update_listening() {
    listening_.update(supervisor_.workers(), deployments_, pools_);
    arm_timer();
}

void Master::watch(const SpawnedWorker& process) {
    loop_.watch(process.channel, [this, pid = process.pid] { on_message(pid); });
}

void Master::on_deadline() {
    if (watchdog_due_ && *watchdog_due_ <= Clock::now()) {
        parts_.notifier.send("WATCHDOG=1");
        watchdog_due_ = Clock::now() + *parts_.watchdog / 2;
    }
    listening_.look();
    look_at_stale_workers();
    handle(event::TimePassed{});
}

void Master::reopen_logs() {
    try {
        const FileAccess as_at_start;
        for (auto& [generation, deployment] : deployments_)
            deployment.logs = open_logs(deployment.config, parts_.log_surroundings);
    } catch (const StartupError& error) {
        log_.error("logs not reopened; the old ones stay in use",
                   {{"why", on_one_line(error.what())}});
        return;
    }
    take_logs_into_use();
    for (auto& [pid, worker] : workers_)
        if (const error_code error = hand_over_logs(in_service().logs, worker.process.channel))
            log_.warning("worker keeps its old logs", {{"slot", pools_.text(worker.slot)},
                                                       {"worker", pid.value},
                                                       {"why", error.message()}});
    log_.notice("logs reopened");
}

void Master::mend_logs() {
    const std::uint64_t lost = lost_log_lines();
    if (lost == mended_lines_) return;
    for (const auto& [generation, deployment] : deployments_)
        if (reconnect(deployment.logs, parts_.log_surroundings)) return;  // again at the next event
    mended_lines_ = lost;
}

// ---- What the supervisor wants done ----

void Master::perform(const action::Spawn& spawn) {
    const Deployment& deployment = deployments_.at(spawn.generation);
    const std::string title = fmt::format("{}: worker {} gen {}", deployment.config.program,
                                          pools_.text(spawn.slot), spawn.generation.value);
    if (const error_code error =
            provide_places(deployment, pools_.name_of(spawn.slot.pool), spawn.slot.index)) {
        last_trouble_ = "can't listen: " + with_advice(error);
        log_.error("can't open the listening sockets of a worker",
                   {{"slot", pools_.text(spawn.slot)}, {"why", with_advice(error)}});
        return handle(event::SpawnFailed{spawn.slot, spawn.generation});
    }
    auto process = parts_.spawner->spawn(title, deployment.logs.output, deployment.logs.error);
    if (!process) return spawn_failed(spawn, "fork failed: " + with_advice(process.error()));
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
    const std::string why = with_advice(error);
    last_trouble_ = "it could not be sent what it needs: " + why;
    log_.error("can't send a worker what it needs; it is killed",
               {{"slot", pools_.text(worker.slot)}, {"worker", pid.value}, {"why", why}});
    handle(event::WorkerUnreachable{pid});
}

void Master::perform(const action::Drain& drain) {
    WorkerProcess* const worker = workers_.find(drain.pid);
    if (worker == nullptr) return;
    log_.info("worker drains", {{"slot", pools_.text(worker->slot)},
                                {"worker", drain.pid.value},
                                {"generation", worker->generation.value}});
    if (const error_code error = listening_.drain(*worker)) on_unreachable(*worker, error);
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

void Master::perform(const action::LoadConfig& load) {
    announce_reload();
    log_.notice("reload begins", {{"generation", load.generation.value}});
    if (!upgraded_from_) announce_reloading();
    last_trouble_.clear();
    orders_taken_ = scoreboard_.orders();
    try {
        Deployment incoming = parts_.load(in_service());
        const Policy policy = policy_of(incoming.config, pools_);
        deployments_.emplace(load.generation, std::move(incoming));
        handle(event::ConfigAccepted{policy});
    } catch (const StartupError& error) {
        last_trouble_ = error.what();
        handle(event::ConfigRefused{});
    }
}

void Master::perform(const action::CommitGeneration& commit) {
    take_into_service(commit.generation);
    verdict_due_ = Clock::now() + longest_hand_over;
}

void Master::perform(const action::AbandonGeneration& abandon) {
    deployments_.erase(abandon.generation);
    const std::string why = on_one_line(describe(abandon.failure));
    const std::uint64_t generation = supervisor_.generation().value;
    if (const auto from = std::exchange(upgraded_from_, std::nullopt))
        conclude(Verdict::Kind::upgrade, false, "upgraded, but the old workers go on",
                 {{"from", *from}, {"to", parts_.version}, {"why", why}},
                 fmt::format("upgraded: {} to {}, but the old workers go on: {}", *from,
                             parts_.version, why));
    else
        conclude(Verdict::Kind::reload, false, "reload refused; the running generation goes on",
                 {{"generation", generation}, {"why", why}}, "reload refused: " + why);
    parts_.notifier.send("READY=1");
}

void Master::perform(const action::Started&) {
    const auto needed = std::chrono::duration_cast<milliseconds>(Clock::now() - started_at_);
    take_into_service(Generation{1});
    log_.notice("ready", {{"generation", 1}, {"after", fmt::format("{}ms", needed.count())}});
    scoreboard_.set_ready(true);
    publish_verdict(Verdict::Kind::start, true, "started");
    announce_ready(Generation{1});
    startup_.succeed();
}

void Master::perform(const action::StartFailed& failed) {
    const std::string why = describe(failed.failure);
    log_.error("can't start", {{"why", on_one_line(why)}});
    startup_.fail(exit_failure, fmt::format("{}: {}", in_service().config.program, why));
}

void Master::perform(const action::Stopping&) {
    announce_reload();
    log_.notice("stopping");
    scoreboard_.set_ready(false);
    parts_.notifier.send("STOPPING=1");
}

void Master::perform(const action::Exit& exit) {
    log_.notice("stopped", {{"status", exit.code}});
    exit_code_ = exit.code;
    loop_.stop();
}

/// From here on `generation` is what the master itself goes by.
void Master::take_into_service(Generation generation) {
    deployments_.erase(deployments_.begin(), deployments_.find(generation));
    in_service().listeners.take_into_service();
    take_logs_into_use();
    log_.set_threshold(in_service().config.log_level);
    scoreboard_.take_into_service(in_service().config, parts_.services,
                                  in_service().listeners.addresses());
    tell_confinement();
    for (const auto& [name, address] : in_service().listeners.addresses())
        log_.info("listening", {{"listener", name}, {"address", address}});
}

void Master::tell_confinement() {
    if (in_service().config.sandbox == SandboxMode::off)
        return log_.warning("sandbox is off: workers may do whatever their user may");
    if (std::exchange(gaps_are_told_, true)) return;
    for (const std::string& gap : sandbox_gaps(parts_.start.kernel)) log_.warning(gap);
}

void Master::take_logs_into_use() {
    const LogFiles& logs = in_service().logs;
    log_.redirect(logs.error.get(), logs.error_style);
    if (parts_.log_surroundings.foreground) return;
    ::dup2(logs.output.get(), STDOUT_FILENO);
    ::dup2(logs.error.get(), STDERR_FILENO);
}

std::string Master::describe(const Failure& failure) const {
    if (failure.reason == Reason::config_refused) return last_trouble_;
    if (!failure.slot) return std::string(to_string(failure.reason));
    return fmt::format("worker {} can't start: {}", pools_.text(*failure.slot),
                       last_trouble_.empty() ? to_string(failure.reason) : last_trouble_);
}

void Master::arm_timer() {
    std::optional<TimePoint> next = supervisor_.next_deadline();
    for (const auto& due : {watchdog_due_, verdict_due_, stale_check_due_, listening_.next_look()})
        if (due) next = next ? std::min(*next, *due) : *due;
    loop_.set_deadline(next);
}

}  // namespace preforkd::master
