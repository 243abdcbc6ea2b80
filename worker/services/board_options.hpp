#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "shared/key.hpp"
#include "shared/types.hpp"
#include "worker/services/board_writer.hpp"

namespace preforkd::worker::board {

[[nodiscard]] std::string parse_value(std::string_view text, SyncPolicy& value);
[[nodiscard]] std::string render_value(const SyncPolicy& value);
[[nodiscard]] std::string expected_text(const Key<SyncPolicy>& key);
[[nodiscard]] std::string type_name(const Key<SyncPolicy>& key);

/// What a `[listen.NAME]` section of this service says.
struct Options {
    std::filesystem::path file;
    SyncPolicy sync;
    ByteCount max_line{4096};
    seconds idle_timeout{600};
    seconds send_timeout{30};
    unsigned max_connections = 0;
};

[[nodiscard]] std::vector<KeySpec> option_keys();

}  // namespace preforkd::worker::board
