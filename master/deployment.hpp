#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "master/listeners.hpp"
#include "master/log_files.hpp"
#include "master/service_paths.hpp"
#include "shared/channel.hpp"
#include "shared/config.hpp"
#include "shared/kernel_sandbox.hpp"
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
    UniqueFd copies;  ///< of the files that keys say are copied, sealed; not open: none are
    LogFiles logs;
};

/// A deployment as the next program takes it over.
struct SavedDeployment {
    std::string config_text;  ///< the effective configuration
    SavedListeners listeners;
    std::vector<SavedPath> paths;
    Descriptor copies;
    SavedLogs logs;
};

/// What restore() goes on with; all that is open stays `deployment`'s until the exec. `config_text`
/// is what stands in the descriptor of that name.
[[nodiscard]] SavedDeployment save(const Deployment& deployment, std::string config_text);
/// `config` and `config_text` were made from `saved.config_text`.
[[nodiscard]] Deployment restore(const SavedDeployment& saved, Config config, UniqueFd config_text);

/// The sockets that the worker of slot number `slot` of `pool` gets, in the order in which they are
/// handed over.
[[nodiscard]] std::vector<Place> places_of(const Deployment& deployment, std::string_view pool,
                                           std::uint32_t slot);

/// Makes those that do not exist yet. Errors: as Listener::open().
[[nodiscard]] error_code provide_places(const Deployment& deployment, std::string_view pool,
                                        std::uint32_t slot);

/// Who a new worker is to be.
struct WorkerName {
    std::string pool;
    std::uint32_t slot = 0;
    Generation generation;
    std::string text;  ///< `web/0`
};

/// Hands a new worker what it needs before it can be told to start. Requires: its places exist.
/// Errors: EAGAIN, EPIPE  the worker is gone or doesn't read.
error_code hand_over(const Deployment& deployment, const UniqueFd& channel, const WorkerName& name);

/// A message that carries nothing but its kind, a descriptor if there is one, and a number.
/// Errors: as hand_over().
error_code send_to_worker(const UniqueFd& channel, MessageKind kind,
                          const UniqueFd& descriptor = UniqueFd(), std::uint32_t number = 0);

/// Tells a new worker what to confine itself by. Errors: as hand_over().
error_code hand_over_kernel(const KernelSandbox& kernel, const UniqueFd& channel);

/// Hands a running worker the logs that were opened anew. Errors: as hand_over().
error_code hand_over_logs(const LogFiles& logs, const UniqueFd& channel);

}  // namespace preforkd::master
