#include <poll.h>
#include <sys/timerfd.h>
#include <system_error>

#include <algorithm>
#include <system_error>

#include "master/master.hpp"
#include "master/processes.hpp"

// How workers are: their dead man's switches, their pages of the scoreboard, what they did when
// they crashed or hung.

namespace preforkd::master {
namespace {

/// Re-arming a timer makes no event, so stale workers are asked this often.
constexpr seconds stale_check_interval{1};

/// Of one worker's requests in flight; a crash log is no dump.
constexpr std::size_t most_requests_logged = 8;

/// Whether the worker's dead man's switch has gone off and was not wound again since.
bool is_off(const UniqueFd& hang_timer) noexcept {
    pollfd question{hang_timer.get(), POLLIN, 0};
    return hang_timer.is_open() && ::poll(&question, 1, 0) > 0;
}

std::string on_one_word(std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.empty() ? "unknown" : text;
}

}  // namespace

std::vector<std::string> Master::sections_of(const WorkerProcess& worker) const {
    std::vector<std::string> names;
    for (const ListenSection& section : deployments_.at(worker.generation).config.listeners)
        if (serves(pools_.name_of(worker.slot.pool), section)) names.push_back(section.name);
    return names;
}

/// Gives the worker its page and its switch. Without descriptors or memory for them it works as
/// well, uncounted and unwatched; the log says so.
void Master::watch_over(WorkerProcess& worker) {
    const Pid pid = worker.process.pid;
    const std::vector<std::string> sections = sections_of(worker);
    for (const ListenSection& section : deployments_.at(worker.generation).config.listeners)
        for (const ServiceSpec& service : parts_.services)
            if (service.name == section.service && service.reads_scoreboard &&
                serves(pools_.name_of(worker.slot.pool), section))
                worker.reads_scoreboard = true;

    if (auto page = scoreboard_.make_page(sections.size())) worker.page = std::move(*page);
    worker.hang_timer.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!worker.page.memory.is_open() || !worker.hang_timer.is_open())
        tell_unwatched(worker, last_error().message());
    watch_hang_timer(worker);
    WorkerEntry entry;
    entry.pid = pid.value;
    entry.generation = worker.generation.value;
    entry.spawned_at = std::chrono::nanoseconds(worker.spawned_at.time_since_epoch()).count();
    entry.slot = pools_.text(worker.slot);
    scoreboard_.add(entry, sections);
}

void Master::watch_hang_timer(WorkerProcess& worker) {
    if (!worker.hang_timer.is_open()) return;
    try {
        loop_.watch_once(worker.hang_timer,
                         [this, pid = worker.process.pid] { on_stale(pid, "no turn for 2s"); });
    } catch (const std::system_error& error) {  // the limit on watches, or memory
        worker.hang_timer.reset();
        tell_unwatched(worker, error.code().message());
    }
}

void Master::tell_unwatched(const WorkerProcess& worker, const std::string& why) {
    log_.error(
        "worker can't be watched: nobody will notice if it hangs, and what it does may not be "
        "counted; raise LimitNOFILE or fs.epoll.max_user_watches",
        {{"slot", pools_.text(worker.slot)}, {"worker", worker.process.pid.value}, {"why", why}});
}

/// After an exec: the same page and the same switch, of which the supervisor knows already.
void Master::go_on_watching(WorkerProcess& worker) {
    if (worker.page.memory.is_open())
        if (auto mapping = Mapping::read_only(worker.page.memory))
            worker.page.mapping = std::move(*mapping);
    watch_hang_timer(worker);
    for (const Worker& known : supervisor_.workers())
        if (known.pid == worker.process.pid && known.stale_since) {
            stale_check_due_ = Clock::now() + stale_check_interval;
            listening_.health().set_healthy(known.pid, false);
        }
}

error_code Master::hand_over_scoreboard(const WorkerProcess& worker) {
    const UniqueFd& channel = worker.process.channel;
    error_code error;
    const auto send = [&](MessageKind kind, const UniqueFd& descriptor, std::uint32_t number = 0) {
        if (!error && descriptor.is_open())
            error = send_to_worker(channel, kind, descriptor, number);
    };
    send(MessageKind::page, worker.page.memory, worker.page.number);
    send(MessageKind::hang_timer, worker.hang_timer);
    if (!worker.reads_scoreboard) return error;
    send(MessageKind::scoreboard, scoreboard_.memory());
    for (const auto& [pid, other] : workers_)
        if (other.ready) send(MessageKind::other_page, other.page.memory, other.page.number);
    return error;
}

/// The worker has mapped its page, so nobody else needs to: from here on nobody else can, and those
/// who show the scoreboard get it.
void Master::on_counting(const WorkerProcess& worker) {
    if (!worker.page.memory.is_open()) return;
    if (seal_against_new_writers(worker.page.memory)) return;
    for (const auto& [pid, reader] : workers_)
        if (reader.reads_scoreboard)  // one that is not READY yet, too: its hand-over is past
            (void)send_to_worker(reader.process.channel, MessageKind::other_page,
                                 worker.page.memory, worker.page.number);
    scoreboard_.count(worker.process.pid.value, worker.page);
}

void Master::on_stale(Pid pid, const char* how) {
    const WorkerProcess* const worker = workers_.find(pid);
    if (worker == nullptr || !worker->ready) return;
    const auto& known = supervisor_.workers();
    const bool is_known = std::any_of(known.begin(), known.end(), [pid](const Worker& other) {
        return other.pid == pid && other.stale_since;
    });
    if (is_known) return;  // stopped, and then its switch has gone off too
    set_healthy(pid, false);
    log_.warning("worker hangs; new connections go elsewhere",
                 {{"slot", pools_.text(worker->slot)}, {"worker", pid.value}, {"how", how}});
    if (!stale_check_due_) stale_check_due_ = Clock::now() + stale_check_interval;
    handle(event::WorkerStale{pid});
}

void Master::on_stopped_or_continued() {
    for (const StoppedProcess& changed : workers_.stopped_or_continued()) {
        WorkerProcess* const worker = workers_.find(changed.pid);
        if (worker == nullptr || worker->stopped == changed.stopped) continue;
        worker->stopped = changed.stopped;
        if (changed.stopped) on_stale(changed.pid, "stopped by a signal");
    }
}

void Master::look_at_stale_workers() {
    if (!stale_check_due_ || Clock::now() < *stale_check_due_) return;
    stale_check_due_.reset();
    std::vector<Pid> recovered;
    for (const Worker& worker : supervisor_.workers()) {
        if (!worker.stale_since) continue;
        const WorkerProcess* const process = workers_.find(worker.pid);
        if (process != nullptr && !process->stopped && !is_off(process->hang_timer))
            recovered.push_back(worker.pid);
        else
            stale_check_due_ = Clock::now() + stale_check_interval;
    }
    for (const Pid pid : recovered) {
        const WorkerProcess* const process = workers_.find(pid);
        set_healthy(pid, true);
        log_.notice("worker has recovered",
                    {{"slot", pools_.text(process->slot)}, {"worker", pid.value}});
        loop_.watch_again(process->hang_timer);
        handle(event::WorkerRecovered{pid});
    }
}

void Master::log_hang(const WorkerProcess& worker) {
    const Pid pid = worker.process.pid;
    log_.error("where it hangs", {{"slot", pools_.text(worker.slot)},
                                  {"worker", pid.value},
                                  {"wchan", on_one_word(read_proc(pid, "wchan"))},
                                  {"syscall", on_one_word(read_proc(pid, "syscall"))}});
    log_requests_in_flight(worker);
}

void Master::log_requests_in_flight(const WorkerProcess& worker) {
    for (const std::string& request : requests_in_flight(worker.page, most_requests_logged))
        log_.error("request in flight", {{"slot", pools_.text(worker.slot)},
                                         {"worker", worker.process.pid.value},
                                         {"request", request}});
}

void Master::on_recycle(const WorkerProcess& worker, std::string_view why) {
    log_.info(
        "worker is to be replaced",
        {{"slot", pools_.text(worker.slot)}, {"worker", worker.process.pid.value}, {"why", why}});
    handle(event::RecycleDue{worker.process.pid});
}

ExitKind Master::judge(const ExitedProcess& exited, const WorkerProcess& worker) const {
    if (worker.doom) return *worker.doom;
    if (!worker.ready) return ExitKind::failed_to_start;
    return exited.succeeded() ? ExitKind::finished : ExitKind::crashed;
}

}  // namespace preforkd::master
