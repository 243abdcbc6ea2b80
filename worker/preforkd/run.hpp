#pragma once

#include <string>
#include <vector>

#include <preforkd/service_type.hpp>

namespace preforkd {

/// A whole daemon with these services: `int main` does nothing but return this. It is the master
/// in the process that a person starts, and a worker in those that the master makes. `version` is
/// what -V and the verdict of an upgrade say; empty: preforkd's own.
int run(int argc, char** argv, std::vector<ServiceType> services, std::string version = {});

/// The services that preforkd itself offers: http, board, echo and status.
[[nodiscard]] std::vector<ServiceType> builtin_services();

}  // namespace preforkd
