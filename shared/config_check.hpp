#pragma once

#include "shared/config.hpp"
#include "shared/config_load.hpp"

namespace preforkd {

/// Checks what concerns more than one key: users and groups exist and aren't root, no two
/// listeners want the same address, none has the name of the shared workers' pool, and those that
/// share a data file wait alike for the disk.
void check_config(const Config& config, const Surroundings& surroundings,
                  const std::vector<ServiceSpec>& services, Faults& faults);

}  // namespace preforkd
