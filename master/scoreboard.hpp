#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "master/pools.hpp"
#include "master/supervision.hpp"
#include "shared/config.hpp"
#include "shared/mapping.hpp"
#include "shared/scoreboard.hpp"
#include "shared/service_spec.hpp"
#include "shared/unique_fd.hpp"
#include "shared/version.hpp"

namespace preforkd::master {

/// A worker's page as the master has it: to hand on and to read.
struct PageOfWorker {
    std::uint32_t number = 0;  ///< 0: there is none
    UniqueFd memory;
    Mapping mapping;  ///< read-only
};

/// Everything of a scoreboard that a new image of the master goes on with.
struct ScoreboardState {
    MasterFront front;
    std::vector<ListenerEntry> listeners;
    std::vector<WorkerEntry> workers;
    std::uint32_t last_page = 0;
};

/// The same as bytes: of the programs that have one layout, any can go on with them.
struct SavedScoreboard {
    std::uint32_t version = 0;
    std::string front, listeners, workers;
    std::uint32_t last_page = 0;
};

[[nodiscard]] SavedScoreboard save(const ScoreboardState& state);
/// One of another layout is begun anew, at zero.
[[nodiscard]] ScoreboardState restore_scoreboard(const SavedScoreboard& saved);

/// Keeps the master's page: what the server is, which workers' pages count, and what the workers
/// that have ended left behind, so that no total ever goes backwards.
class Scoreboard {
  public:
    /// Throws std::system_error when the memory can't be had.
    explicit Scoreboard(std::string_view program, std::string_view version = program_version());

    /// Goes on where another image of this master left off.
    void restore(const ScoreboardState& state);
    [[nodiscard]] ScoreboardState state() const {
        return {front_, listeners_, workers_, last_page_};
    }

    /// To be read by others; sealed, so that none of them can write to it.
    [[nodiscard]] const UniqueFd& memory() const noexcept { return memory_; }

    /// Makes these the listeners in service; what others counted is kept under their names.
    void take_into_service(const Config& config, const std::vector<ServiceSpec>& services,
                           const std::vector<std::pair<std::string, std::string>>& addresses);

    /// A page for a worker that serves `sections` sections. Errors: ENOMEM, EMFILE.
    [[nodiscard]] Result<PageOfWorker> make_page(std::size_t sections);

    /// A worker has come to be. `sections`: names of its sections, in their order.
    void add(const WorkerEntry& worker, std::span<const std::string> sections);
    /// From now on its page counts.
    void count(std::int32_t pid, const PageOfWorker& page);
    /// It is no more: what it counted moves into the totals, and its page no longer counts.
    void fold(std::int32_t pid, const PageOfWorker& page, ExitKind how);

    /// Publishes all of the above and the workers' states, in one change.
    void publish(ServerState state, Generation generation, const std::deque<Worker>& workers);

    void count_order() noexcept { ++front_.orders; }
    [[nodiscard]] std::uint64_t orders() const noexcept { return front_.orders; }
    void set_ready(bool ready) noexcept { front_.ready = ready; }
    /// Gives the verdict its number and time.
    void record(Verdict verdict);

  private:
    std::uint8_t listener_number(std::string_view name);
    [[nodiscard]] WorkerEntry* find(std::int32_t pid);
    void count_serving_workers();
    void write();

    UniqueFd memory_;
    Mapping mapping_;
    MasterFront front_;
    std::vector<ListenerEntry> listeners_;
    std::vector<WorkerEntry> workers_;
    std::uint32_t last_page_ = 0;
};

/// What a worker was busy with, by its own account: the notes of `page` that are in flight, as
/// "PEER: TEXT", with every byte outside 0x20-0x7e escaped. At most `limit` of them.
[[nodiscard]] std::vector<std::string> requests_in_flight(const PageOfWorker& page,
                                                          std::size_t limit);

}  // namespace preforkd::master
