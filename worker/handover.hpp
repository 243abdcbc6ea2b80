#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/channel.hpp"
#include "shared/kernel_sandbox.hpp"
#include "shared/log.hpp"
#include "shared/result.hpp"
#include "shared/scoreboard_reader.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::worker {

/// A descriptor that belongs to one listen section; `key` is empty for a listening socket.
struct SectionDescriptor {
    std::uint32_t section = 0;
    std::string key;
    UniqueFd descriptor;
};

/// What the master hands over before it says start.
struct Handover {
    std::string slot;
    Generation generation;
    std::string config_text;
    std::optional<KernelSandbox> kernel;  ///< always there
    std::vector<SectionDescriptor> listeners;
    std::vector<SectionDescriptor> paths;
    UniqueFd copies;  ///< of files; not open: there are none
    LogStyle error_style = LogStyle::plain;
    UniqueFd access_log;
    UniqueFd page;
    UniqueFd hang_timer;
    std::optional<ScoreboardReader> scoreboard;  ///< for services that read it
};

/// Takes messages until `start`. Errors: EPIPE  the master has gone; EBADMSG  it sent something
/// else, which can only be a master of another version.
[[nodiscard]] Result<Handover> receive_handover(const UniqueFd& channel);

}  // namespace preforkd::worker
