#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// How the files that services' keys say are copied (CopiedFile) get from the master to workers: as
// one text, so that however many there are they take one descriptor and one message.

namespace preforkd {

/// What a file contained when the configuration was loaded.
struct FileCopy {
    std::uint32_t section = 0;  ///< index in Config::listeners
    std::string key;
    std::uint32_t number = 0;  ///< which of the key's values names it, from 0
    std::string_view content;
};

/// Contents that lie at the same place in memory stand there once.
[[nodiscard]] std::string encode_copies(const std::vector<FileCopy>& copies);

/// What encode_copies() made; the contents are parts of `text`. Nothing: it didn't make this.
[[nodiscard]] std::optional<std::vector<FileCopy>> decode_copies(std::string_view text);

}  // namespace preforkd
