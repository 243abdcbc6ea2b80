#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "master/listeners.hpp"
#include "master/log_files.hpp"
#include "master/service_paths.hpp"
#include "shared/config.hpp"
#include "shared/result.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// What one generation of workers serves, and everything that is handed to them for it.
struct Deployment {
    Config config;
    UniqueFd config_text;  ///< the effective configuration, sealed
    ListenerSet listeners;
    std::vector<OpenedPath> paths;
    LogFiles logs;
};

/// Hands a new worker of `pool` what it needs and tells it to start.
/// Errors: EAGAIN, EPIPE  the worker is gone or doesn't read.
error_code hand_over(const Deployment& deployment, const UniqueFd& channel, std::string_view pool,
                     std::string_view slot, Generation generation);

/// Hands a running worker the logs that were opened anew. Errors: as hand_over().
error_code hand_over_logs(const LogFiles& logs, const UniqueFd& channel);

}  // namespace preforkd::master
