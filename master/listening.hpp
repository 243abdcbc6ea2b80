#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "master/deployment.hpp"
#include "master/pools.hpp"
#include "master/steering.hpp"
#include "master/supervisor.hpp"
#include "master/worker_table.hpp"
#include "shared/log.hpp"

namespace preforkd::master {

/// Keeps every listening socket in step with the workers: steers clients to those that are ready
/// and healthy, lets a socket that no slot is to have any more serve whom it has before it closes,
/// and tells workers which sockets to accept from when they drain.
///
/// What is wanted follows from the supervisor's table alone: a socket is wanted while a slot that
/// holds or is to have a worker maps to it. One that is not departs; one whose whole address is not
/// is closed softly as well; what is wanted again before it has closed is taken back.
class Listening {
  public:
    /// Both outlive it.
    Listening(WorkerTable& workers, const Logger& log) : workers_(workers), log_(log) {}

    /// A worker said something that makes no sense, or doesn't read. Called as the last thing that
    /// a member function does.
    std::function<void(Pid)> on_misbehaviour;

    /// To be called after each decision of the supervisor, before its actions are carried out.
    void update(const Supervisor::Workers& table,
                const std::map<Generation, Deployment>& deployments, const PoolNames& pools);

    /// Hung or not; a full one can't take more clients for now. Takes effect with the next update.
    [[nodiscard]] Health& health() noexcept { return health_; }
    [[nodiscard]] const Health& health() const noexcept { return health_; }

    /// Tells the worker to drain, but to go on accepting from sockets that depart.
    error_code drain(WorkerProcess& worker);

    /// Binds anew what no longer listens, for somebody has shut it down, and logs it. Returns the
    /// workers that have the old one and need a successor: they can't accept any more.
    std::vector<Pid> mend();
    /// Whether one that the worker has can't be mended; mend() has said what to do.
    [[nodiscard]] bool is_deaf(const WorkerProcess& worker) const;

    /// The worker has closed its socket number `place`.
    void on_stopped(WorkerProcess& worker, std::uint32_t place);
    /// No worker of an older generation accepts any more, but for clients that socket had before.
    [[nodiscard]] bool serves_only(Generation generation) const;
    /// Nothing departs or closes: all there is to know of the sockets is in the sets.
    [[nodiscard]] bool is_calm() const;
    /// It is no longer in the table.
    void on_exited(Pid pid);

    /// When look() is due; nothing departs: nothing.
    [[nodiscard]] std::optional<TimePoint> next_look() const;
    void look();

  private:
    using Key = std::pair<std::shared_ptr<ListenerGroup>, Member>;
    struct Leaver {
        Departure departure;
        bool settled = false;  ///< nobody waits there; its workers are told to close it
    };
    using Wanted = std::map<std::shared_ptr<ListenerGroup>, Standings>;

    [[nodiscard]] Wanted wanted_by(const Supervisor::Workers& table,
                                   const std::map<Generation, Deployment>& deployments,
                                   const PoolNames& pools) const;
    void update_group(const std::shared_ptr<ListenerGroup>& group, const Standings& wanted,
                      milliseconds patience);
    void close_softly(ListenerGroup& group);
    void release_successors(const Wanted& wanted);
    void settle(const Key& key, Leaver& leaver);
    void stop(WorkerProcess& worker, std::uint32_t place);
    void report_offenders();
    void close_settled();
    void close(const Key& key);
    void tell_deaf(const Key& key, const error_code& error);
    [[nodiscard]] bool is_held(const Key& key) const;

    WorkerTable& workers_;
    const Logger& log_;
    Health health_;
    std::vector<std::shared_ptr<ListenerGroup>> groups_;
    std::map<Key, Leaver> leavers_;
    std::vector<Pid> offenders_;
    std::set<Key> deaf_;            ///< don't listen, and can't be mended: told once
    bool steering_failed_ = false;  ///< and was logged
};

}  // namespace preforkd::master
