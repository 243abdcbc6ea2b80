#pragma once

#include <memory>
#include <string_view>

#include "shared/mapping.hpp"
#include "shared/scoreboard.hpp"

namespace preforkd::worker {

/// The worker's own page of the scoreboard, or private memory that stands in for it in a test or
/// when the master could not make one.
class OwnPage {
  public:
    OwnPage();
    explicit OwnPage(Mapping mapping);

    [[nodiscard]] WorkerPage& page() noexcept { return *page_; }
    /// Of the worker's `index`-th section. One beyond the page's last counts into the last.
    [[nodiscard]] SectionCounters& section(std::size_t index) noexcept;

  private:
    Mapping mapping_;
    std::unique_ptr<std::byte[]> private_;
    WorkerPage* page_ = nullptr;
    std::size_t size_ = 0;
};

/// Now, for durations. Unit: nanoseconds. Source: clock_gettime(2), CLOCK_MONOTONIC; in the vDSO.
[[nodiscard]] std::uint64_t monotonic_nanoseconds() noexcept;

/// How much memory of this process is resident, in bytes, and how much processor time it has had,
/// in nanoseconds. Reads files that were opened before the worker confined itself.
class OwnUsage {
  public:
    OwnUsage();
    [[nodiscard]] std::uint64_t memory() const noexcept;
    [[nodiscard]] static std::uint64_t cpu() noexcept;

  private:
    UniqueFd statm_;
    std::uint64_t page_size_;
};

}  // namespace preforkd::worker
