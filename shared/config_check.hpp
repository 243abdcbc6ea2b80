#pragma once

#include "shared/config.hpp"
#include "shared/config_load.hpp"

namespace preforkd {

/// Checks what concerns more than one key: users and groups exist and aren't root, no two
/// listeners want the same address, and none has the name of the shared workers' pool.
void check_config(const Config& config, const Surroundings& surroundings, Faults& faults);

}  // namespace preforkd
