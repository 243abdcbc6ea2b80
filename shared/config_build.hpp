#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shared/config.hpp"
#include "shared/config_settings.hpp"
#include "shared/config_text.hpp"

namespace preforkd {

/// Makes values of sections, with a fault for each key, value, service and address that isn't
/// right. With faults, the result is fit only for finding more of them. Leaves program and source
/// to the caller. Requires: sections start with the global one.
[[nodiscard]] Config build_config(const std::vector<Section>& sections,
                                  const std::vector<ServiceSpec>& services, const Bases& bases,
                                  const Resolver& resolve, Faults& faults);

/// The inverse: the text of sections that say everything.
[[nodiscard]] std::string render_keys(const Config& config,
                                      const std::vector<ServiceSpec>& services);

/// The service of that name, or nullptr.
[[nodiscard]] const ServiceSpec* find_service(const std::vector<ServiceSpec>& services,
                                              std::string_view name);

}  // namespace preforkd
