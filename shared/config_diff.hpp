#pragma once

#include <string>
#include <vector>

#include "shared/config.hpp"

// What a reload would change.

namespace preforkd {

/// The keys that differ and that no reload can change, each at its place in the candidate.
[[nodiscard]] Faults refused_changes(const Config& running, const Config& candidate,
                                     const std::vector<ServiceSpec>& services);

/// What becomes of listeners (by name) and addresses.
struct ListenerChanges {
    std::vector<std::string> added;
    std::vector<std::string> removed;
    std::vector<std::string> changed;     ///< in both, but not equal
    std::vector<Address> new_addresses;   ///< to be bound
    std::vector<Address> gone_addresses;  ///< in no listener any more
    bool operator==(const ListenerChanges&) const = default;
};

/// An address that moves from one listener to another is neither new nor gone.
[[nodiscard]] ListenerChanges listener_changes(const Config& running, const Config& candidate);

}  // namespace preforkd
