#pragma once

#include <string_view>
#include <vector>

#include "shared/config_text.hpp"
#include "shared/service_spec.hpp"

// A program that serves one service alone, such as bbserve: its file needs no section, for the
// service's keys may stand among the server's, it has -f and -d, and it stays in the foreground
// unless told otherwise.

namespace preforkd {

/// The service that a program of this name serves alone, or nullptr.
[[nodiscard]] const ServiceSpec* sole_service(std::string_view program,
                                              const std::vector<ServiceSpec>& services);

/// Adds the listener that a file without sections means. Requires: sections start with the global
/// one.
void add_sole_listener(std::vector<Section>& sections, const ServiceSpec& service);

/// Moves what stands among the server's keys and is the listener's to the listener: all of it when
/// the listener was added, else what the command line says. The words of the Unix course (BBPORT,
/// BBFILE, DAEMON) become ours. Requires: add_sole_listener() was called.
void move_to_sole_listener(std::vector<Section>& sections, const ServiceSpec& service);

}  // namespace preforkd
