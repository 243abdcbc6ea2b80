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
#include "master/image.hpp"
#include "master/image_proof.hpp"
#include "master/listening.hpp"
#include "master/lock_file.hpp"
#include "master/pools.hpp"
#include "master/scoreboard.hpp"
#include "master/spawn.hpp"
#include "master/start_record.hpp"
#include "master/supervisor.hpp"
#include "master/upgrade_state.hpp"
#include "master/worker_table.hpp"
#include "shared/channel.hpp"
#include "shared/log.hpp"
#include "shared/notify.hpp"

namespace preforkd::master {

/// What a master is made of once start-up has checked, locked and bound everything.
struct MasterParts {
    std::optional<LockFile> lock;  ///< the first, so that it goes last
    StartRecord start;
    std::string version;  ///< of this program
    UniqueFd callers_stderr;
    Deployment deployment;  ///< the one in service
    std::unique_ptr<Spawner> spawner;
    std::unique_ptr<EventLoop> loop;
    Notifier notifier;
    std::optional<std::chrono::microseconds> watchdog;
    LogSurroundings log_surroundings;

    /// Reads, checks and binds what a reload asks for, keeping what `running` has; throws
    /// StartupError with every fault and leaves `running` as it was.
    std::function<Deployment(const Deployment& running)> load;

    std::vector<ServiceSpec> services;
};

/// The event loop with every signal that means something to a master.
[[nodiscard]] std::unique_ptr<EventLoop> make_event_loop();

/// A text of several lines, as a log or STATUS= can hold it: indented lines go on from those above.
[[nodiscard]] std::string on_one_line(std::string_view text);

/// How a master goes on after an exec.
struct Succeeding {
    const UpgradeState& state;
    std::optional<std::string> came_back;  ///< this is the old program again; why the new one left
    std::function<void()> settle;          ///< nothing can fail any more
    std::function<void(const std::string& why)> give_up;  ///< never returns
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

    /// Goes on as the master that became this program, and runs until the last worker is gone.
    int go_on(const Succeeding& succeeding);

  private:
    // What happens.
    void handle(Event event);
    void on_signal(int signal);
    void resize(const Event& event, std::string_view refusal);
    void on_deadline();
    void reopen_logs();
    /// After lines were lost: a system log that was started anew has to be connected to.
    void mend_logs();

    // The workers' lives: master_workers.cpp.
    void perform(const action::Spawn& spawn);
    void spawn_failed(const action::Spawn& spawn, std::string why);
    void enlist(SpawnedWorker process, const action::Spawn& spawn);
    void on_unreachable(const WorkerProcess& worker, error_code error);
    void watch(const SpawnedWorker& process);
    void on_message(Pid pid);
    void on_message(WorkerProcess& worker, const Message& message);
    void tell_ready(Pid pid);
    void on_misbehaviour(WorkerProcess& worker, std::string_view what = "an invalid message");
    void on_failed(WorkerProcess& worker, std::string_view why);
    void perform(const action::Drain& drain);
    void perform(const action::Kill& kill);
    void on_child_ended();
    void on_exited(const ExitedProcess& exited);
    void report_forbidden_call(Pid pid, std::string_view slot);
    void report_foreign_kill(Pid pid, std::string_view slot);

    // How workers are: master_health.cpp.
    void watch_over(WorkerProcess& worker);
    void watch_hang_timer(WorkerProcess& worker);
    void tell_unwatched(const WorkerProcess& worker, const std::string& why);
    void go_on_watching(WorkerProcess& worker);
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

    // What else the supervisor wants done.
    void perform(const action::LoadConfig& load);
    void perform(const action::CommitGeneration& commit);
    void perform(const action::AbandonGeneration& abandon);
    void perform(const action::ProveImage& prove);
    void perform(const action::ExecuteImage& execute);
    void perform(const action::AbandonUpgrade& abandon);
    void perform(const action::Started& started);
    void perform(const action::StartFailed& failed);
    void perform(const action::Stopping& stopping);
    void perform(const action::Exit& exit);

    void on_proof(const ProofAnswer& answer);
    void take_upgrade_step();
    void prove_next_image();
    void execute_next_image();
    [[nodiscard]] std::string why_not_executed() const;
    /// Throws StartupError.
    [[nodiscard]] UpgradeState save() const;

    void update_listening();
    /// Mends what no longer listens, and replaces the workers that had it.
    void mend_listening();
    void on_deaf(const WorkerProcess& worker);
    void take_into_service(Generation generation);
    /// How far workers are confined, where that is not wholly: the kernel's part of it once.
    void tell_confinement();
    void take_logs_into_use();
    void arm_timer();
    [[nodiscard]] std::string title() const { return parts_.start.program + ": master"; }
    [[nodiscard]] std::string describe(const Failure& failure) const;
    [[nodiscard]] Deployment& in_service() { return deployments_.rbegin()->second; }

    // What others may know: master_status.cpp.
    void publish_scoreboard();
    void publish_verdict(Verdict::Kind kind, bool accepted, std::string_view text);
    /// What became of a reload or an upgrade: a line for the log, and what everybody is to know.
    void conclude(Verdict::Kind kind, bool accepted, std::string_view event, Logger::Fields fields,
                  std::string_view verdict);
    void announce_when_alone();
    void announce_reload();
    void announce_reloading();
    void announce_ready(Generation generation);
    void publish_status();
    [[nodiscard]] std::string status_line() const;
    [[nodiscard]] std::string listen_fields() const;

    MasterParts parts_;
    StartupPipe& startup_;
    Logger log_;
    EventLoop& loop_;
    Scoreboard scoreboard_;
    Supervisor supervisor_;
    PoolNames pools_;
    WorkerTable workers_;
    Listening listening_;
    std::map<Generation, Deployment> deployments_;  ///< in service and, during a reload, incoming
    std::queue<Event> events_;
    bool handling_ = false;
    std::string last_trouble_;           ///< why the last worker or spawn failed, in words
    std::string verdict_;                ///< of the last reload or upgrade; empty before the first
    std::optional<Image> next_image_;    ///< while it is being proven
    std::unique_ptr<ImageProof> proof_;  ///< the same
    std::string next_version_;
    bool upgrade_step_due_ = false;
    bool reaping_ = false;
    std::optional<std::string> upgraded_from_;  ///< until an upgrade's own reload has its verdict
    std::string published_status_;
    std::optional<TimePoint> watchdog_due_;
    /// A reload is through, and until then its verdict waits for old workers to stop accepting.
    std::optional<TimePoint> verdict_due_;
    std::uint64_t mended_lines_ = 0;  ///< lost lines that mend_logs() has dealt with
    std::optional<TimePoint> stale_check_due_;
    std::uint64_t orders_taken_ = 0;  ///< HUPs that the reload in hand serves
    TimePoint started_at_ = Clock::now();
    bool gaps_are_told_ = false;
    int exit_code_ = 0;
};

}  // namespace preforkd::master
