#pragma once

#include <string>
#include <vector>

#include "shared/config_load.hpp"

namespace preforkd::master {

/// Starts the master and runs it to its end, as the command line says; the exit code. Every
/// failure until the workers are READY is one message on the caller's terminal.
int run_master(std::string program, const std::vector<std::string>& arguments,
               std::vector<ServiceSpec> services);

}  // namespace preforkd::master
