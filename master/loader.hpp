#pragma once

#include <optional>
#include <vector>

#include "master/credentials.hpp"
#include "master/deployment.hpp"
#include "master/start_record.hpp"
#include "shared/config_load.hpp"

namespace preforkd::master {

/// What the command line of `start` asks for, by a program with these services. Throws
/// StartupError.
[[nodiscard]] LoadRequest request_of(const StartRecord& start, std::vector<ServiceSpec> services);

/// Where logs go for a master in the foreground or not, whose caller's standard error is kept as
/// `callers_stderr`; -1: it is where it was.
[[nodiscard]] LogSurroundings surroundings_of(bool foreground, int callers_stderr);

/// Reads and checks the configuration that `request` asks for. Throws StartupError with every
/// fault.
[[nodiscard]] Config load_checked(const LoadRequest& request);

/// The same, and that every path of a service is there, writing and binding nothing: all that can
/// be found out before it is put into service. Throws StartupError with every fault.
[[nodiscard]] Config test_configuration(const LoadRequest& request);

/// Throws StartupError with every fault, if there is one.
void throw_if_any(const Faults& faults);

/// Makes deployments from what the master was started with.
class Loader {
  public:
    Loader(LoadRequest request, LogSurroundings surroundings,
           const std::optional<Credentials>& credentials);

    /// Everything of a deployment; what is opened is closed again when something later fails.
    /// Throws StartupError.
    [[nodiscard]] Deployment deploy(Config config, ListenerSet listeners) const;

    /// Reads, checks and binds what a reload asks for, keeping what `running` has; throws
    /// StartupError with every fault and leaves `running` as it was.
    [[nodiscard]] Deployment reload(const Deployment& running) const;

  private:
    LoadRequest request_;
    LogSurroundings surroundings_;
    DataOwner owner_;
};

}  // namespace preforkd::master
