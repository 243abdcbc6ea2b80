#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "master/supervision.hpp"
#include "shared/config.hpp"
#include "shared/types.hpp"

namespace preforkd::master {

/// The pool of the listeners without `workers` of their own.
inline constexpr std::string_view shared_pool = "main";

/// Gives each pool's name one number for the master's whole life, so that a slot stays the same
/// slot over reloads.
class PoolNames {
  public:
    PoolId id_of(std::string_view name);
    [[nodiscard]] const std::string& name_of(PoolId pool) const { return names_[pool.value]; }
    /// `web/0`, as in the process list.
    [[nodiscard]] std::string text(SlotId slot) const;
    /// By number; id_of() each, in this order, makes the same numbers again.
    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }

  private:
    std::vector<std::string> names_;
};

/// Cores that this process may run on; at least 1. Source: sched_getaffinity(2).
[[nodiscard]] unsigned usable_cores() noexcept;

/// What the supervisor needs of `config`; the shared pool, if any, comes first.
[[nodiscard]] Policy policy_of(const Config& config, PoolNames& pools);

/// How many workers `config` gives to the pool that serves `section`.
[[nodiscard]] unsigned workers_of(const Config& config, const ListenSection& section) noexcept;

/// Whether the workers of `pool` serve `section`.
[[nodiscard]] bool serves(std::string_view pool, const ListenSection& section) noexcept;

}  // namespace preforkd::master
