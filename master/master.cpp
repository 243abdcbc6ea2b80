#include "master/master.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "master/capabilities.hpp"
#include "shared/exit_code.hpp"
#include "shared/process_title.hpp"

namespace preforkd::master {
namespace {

/// Old workers stop accepting within a millisecond of their successors' READY, but for one that
/// hangs: nobody waits for it any longer.
constexpr seconds longest_hand_over{1};

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
        // Whoever reads of it may rely on new clients being led there.
        if (const auto* ready = std::get_if<event::WorkerReady>(&next)) tell_ready(ready->pid);
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

void Master::set_healthy(Pid pid, bool healthy) {
    listening_.health().set_healthy(pid, healthy);
    update_listening();
}

void Master::update_listening() {
    listening_.update(supervisor_.workers(), deployments_, pools_);
    arm_timer();
}

/// Nobody polls: it is looked at when a worker can't accept any more or has met an end that it
/// shouldn't, and at each reload, before its workers are made and before its verdict.
void Master::mend_listening() {
    for (const Pid pid : listening_.mend()) handle(event::RecycleDue{pid});
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

// ---- What else the supervisor wants done ----

void Master::perform(const action::LoadConfig& load) {
    announce_reload();
    log_.notice("reload begins", {{"generation", load.generation.value}});
    mend_listening();
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
    mend_listening();
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
