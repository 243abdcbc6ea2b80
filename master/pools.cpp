#include "master/pools.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>

#include "master/supervisor.hpp"

namespace preforkd::master {
namespace {

unsigned workers_or_cores(unsigned workers) noexcept {
    return workers == 0 ? std::min(usable_cores(), max_pool_workers) : workers;
}

}  // namespace

PoolId PoolNames::id_of(std::string_view name) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    const auto index = static_cast<std::uint32_t>(found - names_.begin());
    if (found == names_.end()) names_.emplace_back(name);
    return PoolId{index};
}

std::string PoolNames::text(SlotId slot) const {
    return fmt::format("{}/{}", name_of(slot.pool), slot.index);
}

unsigned usable_cores() noexcept {
    cpu_set_t cores;
    if (::sched_getaffinity(0, sizeof cores, &cores) < 0) return 1;
    return static_cast<unsigned>(std::max(CPU_COUNT(&cores), 1));
}

Policy policy_of(const Config& config, PoolNames& pools) {
    Policy policy;
    policy.ready_timeout = config.ready_timeout;
    policy.hang_timeout = config.hang_timeout;
    policy.drain_timeout = config.drain_timeout;
    policy.shutdown_delay = config.shutdown_delay;
    const auto is_shared = [](const ListenSection& section) { return !section.workers; };
    if (std::any_of(config.listeners.begin(), config.listeners.end(), is_shared))
        policy.pools.push_back({pools.id_of(shared_pool), workers_or_cores(config.workers)});
    for (const ListenSection& section : config.listeners)
        if (section.workers)
            policy.pools.push_back({pools.id_of(section.name), workers_or_cores(*section.workers)});
    return policy;
}

unsigned workers_of(const Config& config, const ListenSection& section) noexcept {
    return workers_or_cores(section.workers.value_or(config.workers));
}

bool serves(std::string_view pool, const ListenSection& section) noexcept {
    return section.workers ? pool == section.name : pool == shared_pool;
}

}  // namespace preforkd::master
