#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "master/supervisor.hpp"

namespace preforkd::master::test {

/// A broken invariant; its text says which.
struct Broken {
    std::string what;
};

/// What is around the supervisor, without its reasons: processes, unanswered orders, the verdicts
/// it gave. It delivers events, carries out the actions, and judges both by the promises of
/// DESIGN's section 4, from nothing but what it saw itself; then it compares its processes with the
/// supervisor's table. Throws Broken.
class World {
  public:
    struct Process {
        SlotId slot;
        Generation generation;
        TimePoint spawned_at;
        TimePoint drained_at;
        bool ready = false;
        bool drained = false;
        bool killed = false;
        bool recycle_due = false;
        std::optional<TimePoint> stale_since{};
        bool aborted = false;
        [[nodiscard]] bool live() const { return !drained && !killed; }
    };

    struct Order {
        SlotId slot;
        Generation generation;
        bool wanted = true;
    };

    /// Tells the supervisor, and checks all that follows from it.
    void tell(const Event& event);

    /// Answers the oldest order of that one's slot and generation.
    void answer(const Order& order, bool success);

    /// Answers the load in hand.
    void answer_load(const std::optional<Policy>& accepted);

    /// Answers ExecuteImage; the one that goes on knows what the snapshot says and no more.
    /// Requires: executing.
    void answer_execution(bool took_over);

    /// To the moment that the supervisor waits for, if there is one, and says so.
    void pass_to_deadline();

    /// One line for each event and action from here on.
    void start_trace() { tracing_ = true; }
    [[nodiscard]] const std::vector<std::string>& trace() const { return trace_; }

    Supervisor supervisor;
    TimePoint now{std::chrono::hours{1}};
    std::map<Pid, Process> processes;  ///< Spawned and not reaped.
    std::vector<Order> orders;         ///< Spawns not answered, the oldest first.
    bool load_unanswered = false;
    bool proving = false;    ///< ProveImage is not answered.
    bool executing = false;  ///< ExecuteImage is not answered.
    bool started = false;
    bool stopping = false;  ///< Or the start failed.
    bool exited = false;
    unsigned long events = 0;

    /// Every slot that is to have a worker in service has one that is READY, and no one else is
    /// left.
    [[nodiscard]] bool is_whole() const;

  private:
    using Sizes = std::map<PoolId, std::uint32_t>;

    void foresee(const Event& event);
    void foresee_spawned(const event::WorkerSpawned& spawned);
    void foresee_ready(Pid pid);
    void foresee_resize(bool more);
    void verify(const Event& event);

    void carry_out(const action::Spawn& spawn);
    void carry_out(const action::Drain& drain);
    void carry_out(const action::Kill& kill);
    void carry_out(const action::LoadConfig& load);
    void carry_out(const action::CommitGeneration& commit);
    void carry_out(const action::AbandonGeneration& abandon);
    void carry_out(const action::ProveImage& prove);
    void carry_out(const action::ExecuteImage& execute);
    void carry_out(const action::AbandonUpgrade& abandon);
    void carry_out(const action::Started& started);
    void carry_out(const action::StartFailed& failed);
    void carry_out(const action::Stopping& stopping);
    void carry_out(const action::Exit& exit);

    void check_table() const;
    void check_entry(const Worker& worker) const;
    void check_slots() const;
    void check_slots_of(Generation generation, const Sizes& sizes) const;

    /// May resize; an upgrade that is being proven disturbs nobody.
    [[nodiscard]] bool at_rest() const { return started && !stopping && !loading_; }
    [[nodiscard]] bool upgrading() const { return proving || executing; }
    [[nodiscard]] bool may_go(const Process& process) const;
    [[nodiscard]] bool is_hung(const Process& process) const;
    [[nodiscard]] bool has_ready_successor(Pid pid, const Process& process) const;
    [[nodiscard]] bool every_slot_ready(Generation generation, const Sizes& sizes) const;
    [[nodiscard]] const Policy& policy_of(Generation generation) const;
    void give_up_orders(Generation generation);
    void require(bool holds, const char* what) const;
    void note(std::string line);

    Generation in_service_;
    Generation raised_;                  // the last that got workers
    std::optional<Generation> loading_;  // the reload without a verdict
    std::map<Generation, Policy> policies_;
    std::map<std::pair<SlotId, Generation>, TimePoint> last_spawns_;
    Sizes sizes_;           // of the pools in service
    Sizes incoming_sizes_;  // of those being raised
    bool raising_ = false;
    bool hup_pending_ = false;
    bool usr2_pending_ = false;
    TimePoint proof_began_;
    std::optional<Reason> upgrade_fails_;  // by the event in hand
    std::optional<SlotId> resized_away_;   // by the TTOU in hand
    std::set<Pid> offenders_;              // those that the event in hand condemns
    bool tracing_ = false;
    std::vector<std::string> trace_;
};

}  // namespace preforkd::master::test
