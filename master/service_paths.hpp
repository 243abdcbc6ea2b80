#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "master/descriptor.hpp"
#include "shared/config.hpp"
#include "shared/service_spec.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// A file or folder that a service's key names, open for its workers.
struct OpenedPath {
    std::uint32_t section = 0;  ///< index in Config::listeners
    std::string key;
    UniqueFd descriptor;
};

/// The same as the next program takes it over.
struct SavedPath {
    std::uint32_t section = 0;
    std::string key;
    Descriptor descriptor;
};

/// Who data files belong to.
struct DataOwner {
    uid_t user;
    gid_t group;
    bool makes = true;  ///< no: the configuration is only tested
};

/// Opens every path that a service's key says the master opens (see Opens), so that a worker needs
/// no rights on the way there. What can't be opened is added to `faults`.
/// Data files that are absent are made for `owner`, unless it makes none; then nothing is opened
/// for writing either, and an absent data file is no fault.
[[nodiscard]] std::vector<OpenedPath> open_service_paths(const Config& config,
                                                         const std::vector<ServiceSpec>& services,
                                                         DataOwner owner, Faults& faults);

/// Reads every file that a service's key says is copied (CopiedFile), each once; the result is what
/// decode_copies() takes, or empty if there are none. What can't be read, is too large, or isn't
/// what its key expects is added to `faults`.
[[nodiscard]] std::string copy_service_files(const Config& config,
                                             const std::vector<ServiceSpec>& services,
                                             Faults& faults);

}  // namespace preforkd::master
