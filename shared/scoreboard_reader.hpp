#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "shared/mapping.hpp"
#include "shared/result.hpp"
#include "shared/scoreboard.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd {

/// One worker as it was when the scoreboard was read.
struct WorkerView {
    WorkerEntry entry;
    SectionTotals totals;  ///< of all its sections
    std::uint64_t memory = 0;
    std::uint64_t cpu = 0;
    std::uint64_t log_lines_dropped = 0;
};

/// The whole server at one moment. A listener's `totals` hold what all workers that ever served it
/// have counted, those that live included, and never go backwards.
struct Snapshot {
    MasterFront front;
    std::vector<ListenerEntry> listeners;
    std::vector<WorkerView> workers;
};

/// Reads the scoreboard of a running server, from any process that was given its pages.
class ScoreboardReader {
  public:
    /// Gets a worker's page that was not added; empty when it can't be had (any more).
    using FindPage = std::function<UniqueFd(const WorkerEntry&)>;

    /// Errors: EPROTO  another version wrote it; what mmap(2) says.
    [[nodiscard]] static Result<ScoreboardReader> open(const UniqueFd& master_page,
                                                       FindPage find_page);

    /// Errors: EAGAIN  the master was caught in the middle of a change, and stays there.
    [[nodiscard]] Result<Snapshot> read();

    /// Another way to find pages from now on.
    void set_find_page(FindPage find_page) { find_page_ = std::move(find_page); }

    /// Makes a page known under its number, or forgets it.
    error_code add_page(std::uint32_t number, const UniqueFd& page);
    void remove_page(std::uint32_t number) { pages_.erase(number); }

    /// Takes the page of a master that began anew; the workers' stay. Errors: as open().
    error_code replace_master_page(const UniqueFd& page);

  private:
    ScoreboardReader() = default;
    [[nodiscard]] bool copy_tables(Snapshot& snapshot) const;
    [[nodiscard]] const WorkerPage* page_of(const WorkerEntry& entry);
    [[nodiscard]] bool has_every_page(const Snapshot& snapshot);
    void add_up(Snapshot& snapshot);

    Mapping master_;
    FindPage find_page_;
    std::map<std::uint32_t, Mapping> pages_;
};

}  // namespace preforkd
