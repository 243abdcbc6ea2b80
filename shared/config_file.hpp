#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "shared/config.hpp"

namespace preforkd {

/// Largest configuration file. Unit: bytes.
inline constexpr std::size_t largest_file = 1 << 20;

/// Reads a configuration file, following symbolic links. A master that was started as root
/// (`effective_uid` 0) refuses a file that someone else can write, or can replace because they can
/// write its folder. On a fault the text is empty.
[[nodiscard]] std::string read_config_file(const std::filesystem::path& file, uid_t effective_uid,
                                           Faults& faults);

/// Who but root could change what `status` describes: "user 1000 owns it", "its group can write
/// it", "everyone can write it". Empty: nobody.
[[nodiscard]] std::string other_writer(const struct stat& status);

}  // namespace preforkd
