#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <variant>

#include "master/daemonize.hpp"
#include "master/deployment.hpp"
#include "master/event_loop.hpp"
#include "master/listening.hpp"
#include "master/pools.hpp"
#include "master/scoreboard.hpp"
#include "master/spawn.hpp"
#include "master/supervisor.hpp"
#include "master/worker_table.hpp"
#include "shared/channel.hpp"
#include "shared/log.hpp"
#include "shared/notify.hpp"

namespace preforkd::master {

/// What a master is made of once start-up has checked, locked and bound everything.
struct MasterParts {
    Deployment deployment;  ///< of the first generation
    Spawner spawner;
    Notifier notifier;
    std::optional<std::chrono::microseconds> watchdog;
    LogSurroundings log_surroundings;

    /// Reads, checks and binds what a reload asks for, keeping what `running` has; throws
    /// StartupError with every fault and leaves `running` as it was.
    std::function<Deployment(const Deployment& running)> load;

    std::vector<ServiceSpec> services;
};

/// The privileged process: takes what happens to the supervisor and does what it answers. Reads
/// nothing that a client wrote, and only checked messages of fixed size from workers.
class Master {
  public:
    /// `startup` hears how the start went and outlives the master.
    Master(MasterParts parts, StartupPipe& startup);

    /// Runs until the last worker is gone; the exit code.
    int run();

    /// New clients are steered around a worker that is not healthy, if others are.
    void set_healthy(Pid pid, bool healthy);

  private:
    // What happens.
    void handle(Event event);
    void on_signal(int signal);
    void on_child_ended();
    void on_exited(const ExitedProcess& exited);
    void report_forbidden_call(Pid pid, std::string_view slot);
    void on_misbehaviour(WorkerProcess& worker);
    void on_message(Pid pid);
    void on_message(WorkerProcess& worker, const Message& message);
    void on_deadline();
    void reopen_logs();

    // How workers are: master_health.cpp.
    void watch_over(WorkerProcess& worker);
    void on_stale(Pid pid, const char* how);
    void on_stopped_or_continued();
    void look_at_stale_workers();
    void log_hang(const WorkerProcess& worker);
    void log_requests_in_flight(const WorkerProcess& worker);
    void on_recycle(const WorkerProcess& worker, std::string_view why);
    [[nodiscard]] std::vector<std::string> sections_of(const WorkerProcess& worker) const;
    error_code hand_over_scoreboard(const WorkerProcess& worker);
    void on_counting(const WorkerProcess& worker);
    [[nodiscard]] ExitKind judge(const ExitedProcess& exited, const WorkerProcess& worker) const;
    void publish_verdict(Verdict::Kind kind, bool accepted, std::string_view text);

    // What the supervisor wants done.
    void perform(const action::Spawn& spawn);
    void perform(const action::Drain& drain);
    void perform(const action::Kill& kill);
    void perform(const action::LoadConfig& load);
    void perform(const action::CommitGeneration& commit);
    void perform(const action::AbandonGeneration& abandon);
    void perform(const action::Started& started);
    void perform(const action::StartFailed& failed);
    void perform(const action::Stopping& stopping);
    void perform(const action::Exit& exit);

    void spawn_failed(const action::Spawn& spawn, std::string why);
    void enlist(SpawnedWorker process, const action::Spawn& spawn);
    void update_listening();
    void take_into_service(Generation generation);
    void announce_when_alone();
    void announce_reload();
    void announce_ready(Generation generation);
    void take_logs_into_use();
    void publish_scoreboard();
    void publish_status();
    void arm_timer();
    [[nodiscard]] std::string status_line() const;
    [[nodiscard]] std::string listen_fields() const;
    [[nodiscard]] std::string describe(const Failure& failure) const;
    [[nodiscard]] Deployment& in_service() { return deployments_.rbegin()->second; }

    MasterParts parts_;
    StartupPipe& startup_;
    Logger log_;
    EventLoop loop_;
    Scoreboard scoreboard_;
    Supervisor supervisor_;
    PoolNames pools_;
    WorkerTable workers_;
    Listening listening_;
    std::map<Generation, Deployment> deployments_;  ///< in service and, during a reload, incoming
    std::queue<Event> events_;
    bool handling_ = false;
    std::string last_trouble_;  ///< why the last worker or spawn failed, in words
    std::string verdict_;       ///< of the last reload, for STATUS=; empty before the first
    std::string published_status_;
    std::optional<TimePoint> watchdog_due_;
    /// A reload is through, and until then its verdict waits for old workers to stop accepting.
    std::optional<TimePoint> verdict_due_;
    std::optional<TimePoint> stale_check_due_;
    std::uint64_t orders_taken_ = 0;  ///< HUPs that the reload in hand serves
    TimePoint started_at_ = Clock::now();
    int exit_code_ = 0;
};

}  // namespace preforkd::master
