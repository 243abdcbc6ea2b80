#pragma once

#include <span>

#include <preforkd/service_type.hpp>

namespace preforkd::worker {

/// Whether this process was started as a worker: by its first argument and by what its fd 3 is,
/// never by argv[0], which anyone can choose.
[[nodiscard]] bool is_worker(int argc, char** argv) noexcept;

/// A worker's whole life: takes what the master hands over, starts its services, says READY,
/// serves, drains, and returns its exit code.
int run_worker(std::span<const ServiceType> services);

}  // namespace preforkd::worker
