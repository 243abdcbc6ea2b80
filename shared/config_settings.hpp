#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shared/config.hpp"
#include "shared/config_text.hpp"
#include "shared/key.hpp"

// One section's entries held against the keys that it may have.

namespace preforkd {

/// The folders that relative paths start from.
struct Bases {
    std::filesystem::path of_file;
    std::filesystem::path of_command_line;

    [[nodiscard]] const std::filesystem::path& of(const Entry& entry) const {
        return entry.from_command_line ? of_command_line : of_file;
    }
};

/// Checks every entry of `section` that is one of `keys`, and gives each of the keys its values:
/// the command line's, else the file's, else the default. Faults: a value that isn't right, a key
/// that stands twice, a required one that is missing (but not in a repeated section).
[[nodiscard]] std::vector<Setting> settle(const Section& section, const std::vector<KeySpec>& keys,
                                          const Bases& bases, Faults& faults);

/// A fault of one entry: `what` after its place, section and key.
[[nodiscard]] Fault entry_fault(const Section& section, const Entry& entry, const std::string& what,
                                std::string hint = {});

/// Reports the entries that are none of the keys of a section before all others, and tells where
/// they belong.
void report_unknown_global_keys(const Section& section, const std::vector<ServiceSpec>& services,
                                Faults& faults);

/// The same for a listener with that service.
void report_unknown_listener_keys(const Section& section, const ServiceSpec& service,
                                  const std::vector<ServiceSpec>& services, Faults& faults);

}  // namespace preforkd
