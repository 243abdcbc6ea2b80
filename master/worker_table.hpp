#pragma once

#include <signal.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "master/descriptor.hpp"
#include "master/listeners.hpp"
#include "master/scoreboard.hpp"
#include "master/spawn.hpp"
#include "shared/types.hpp"

namespace preforkd::master {

/// A listening socket as one worker has it.
struct HeldPlace {
    Place place;
    bool accepting = true;  ///< it has not said that it closed it
    bool kept = false;      ///< it drains and accepts from it until it is told to stop
};

/// A worker as a process: what the supervisor decides about, this holds.
struct WorkerProcess {
    SpawnedWorker process;
    SlotId slot;
    Generation generation;
    TimePoint spawned_at;
    bool ready = false;
    unsigned messages = 0;  ///< from it, within the second since then
    TimePoint counting_since{};
    bool silenced = false;            ///< will be killed: nothing more that it says counts
    std::vector<HeldPlace> places{};  ///< in the order in which they were handed over
    PageOfWorker page{};
    UniqueFd hang_timer{};           ///< see worker/dead_man_switch.hpp
    bool reads_scoreboard = false;   ///< a service of it shows the pages of all
    bool stopped = false;            ///< by SIGSTOP or the like
    std::optional<ExitKind> doom{};  ///< what its end will be put down to
};

/// A child that was stopped or continued.
struct StoppedProcess {
    Pid pid;
    bool stopped = false;
};

/// The same as the next program takes it over.
struct SavedPlace {
    std::optional<std::uint32_t> group;  ///< index in the saved listeners; nothing: it is closed
    Member member = 0;
    bool accepting = true;
    bool kept = false;
};

/// A worker as the next program takes it over.
struct SavedWorker {
    Pid pid;
    Descriptor pidfd;
    Descriptor channel;
    SlotId slot;
    Generation generation;
    TimePoint spawned_at;
    bool ready = false;
    std::vector<SavedPlace> places;
    bool full = false;  ///< see Health
    std::uint32_t page_number = 0;
    Descriptor page;
    Descriptor hang_timer;
    bool reads_scoreboard = false;
    bool stopped = false;
    bool silenced = false;
    std::optional<ExitKind> doom;
};

/// A process that has ended, and how. Source: waitid(2), siginfo_t.
struct ExitedProcess {
    Pid pid;
    int code = 0;    ///< CLD_EXITED, CLD_KILLED or CLD_DUMPED
    int status = 0;  ///< exit status or signal

    [[nodiscard]] bool succeeded() const noexcept { return code == CLD_EXITED && status == 0; }
};

/// "exit status 1", "signal 11 (Segmentation fault)".
[[nodiscard]] std::string describe(const ExitedProcess& exited);

/// Every worker that exists, by pid, until it has been reaped.
class WorkerTable {
  public:
    WorkerProcess& add(WorkerProcess worker);
    [[nodiscard]] WorkerProcess* find(Pid pid);
    void remove(Pid pid) { workers_.erase(pid); }

    /// Reaps the workers that have ended, each by its own pidfd, so that nobody else's child and
    /// no recycled pid can be taken for one. They stay in the table until remove().
    [[nodiscard]] std::vector<ExitedProcess> reap();

    /// Those that were stopped or continued since the last call. Source: waitid(2), WSTOPPED.
    [[nodiscard]] std::vector<StoppedProcess> stopped_or_continued();

    /// Reaps children that aren't workers, nor `spared`: as process 1 or a subreaper we inherit
    /// orphans. Returns how many.
    unsigned reap_orphans(Pid spared);

    /// What restore() goes on with; all that is open stays this table's until the exec.
    [[nodiscard]] std::vector<SavedWorker> save(const ListenerSet::Groups& groups) const;
    void restore(const std::vector<SavedWorker>& saved, const ListenerSet::Groups& groups);

    [[nodiscard]] auto begin() { return workers_.begin(); }
    [[nodiscard]] auto end() { return workers_.end(); }

  private:
    std::map<Pid, WorkerProcess> workers_;
};

}  // namespace preforkd::master
