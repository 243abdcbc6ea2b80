#include "master/loader.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "master/capabilities.hpp"
#include "shared/config_diff.hpp"
#include "shared/exit_code.hpp"
#include "shared/sole_service.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

DataOwner data_owner(const std::optional<Credentials>& credentials) {
    if (credentials) return {credentials->user, credentials->group};
    return {::geteuid(), ::getegid()};
}

/// Where workers can read it and nobody can change it.
UniqueFd keep(const std::string& what, std::string_view text) {
    auto memory = sealed_memory(("preforkd-" + what).c_str(), text);
    if (!memory)
        throw StartupError(exit_failure, fmt::format("can't keep the {}: {}", what,
                                                     with_limit_advice(memory.error())));
    return std::move(*memory);
}

}  // namespace

LoadRequest request_of(const StartRecord& start, std::vector<ServiceSpec> services) {
    LoadRequest request;
    request.program = start.program;
    request.services = std::move(services);
    request.effective_uid = ::geteuid();
    request.working_folder = start.working_folder;
    request.surroundings = system_surroundings();
    const bool alone = sole_service(start.program, request.services) != nullptr;
    auto command_line = parse_command_line(start.arguments, request.services, alone);
    if (!command_line) throw StartupError(exit_usage, to_string(command_line.error()));
    request.command_line = std::move(*command_line);
    return request;
}

LogSurroundings surroundings_of(bool foreground, int callers_stderr) {
    return {foreground, callers_stderr >= 0 ? callers_stderr : STDERR_FILENO, syslog_socket};
}

void throw_if_any(const Faults& faults) {
    if (!faults.empty()) throw StartupError(exit_configuration, to_string(faults));
}

Config load_checked(const LoadRequest& request) {
    LoadResult loaded = load_config(request);
    if (!loaded) throw StartupError(exit_configuration, to_string(loaded.error()));
    return std::move(*loaded);
}

Config test_configuration(const LoadRequest& request) {
    Config config = load_checked(request);
    // Another user than root is asked for its own rights alone: it may test what root will start.
    DataOwner owner =
        data_owner(::geteuid() == 0 ? resolve_identity(config).credentials : std::nullopt);
    owner.makes = false;
    Faults faults;
    (void)open_service_paths(config, request.services, owner, faults);
    (void)copy_service_files(config, request.services, faults);
    throw_if_any(faults);
    return config;
}

Loader::Loader(LoadRequest request, LogSurroundings surroundings,
               const std::optional<Credentials>& credentials)
    : request_(std::move(request)),
      surroundings_(std::move(surroundings)),
      owner_(data_owner(credentials)) {}

Deployment Loader::deploy(Config config, ListenerSet listeners) const {
    Deployment deployment{std::move(config), {}, std::move(listeners), {}, {}, {}};
    Faults faults;
    deployment.paths = open_service_paths(deployment.config, request_.services, owner_, faults);
    const std::string copies = copy_service_files(deployment.config, request_.services, faults);
    throw_if_any(faults);
    deployment.logs = open_logs(deployment.config, surroundings_);
    deployment.config_text =
        keep("configuration", render_effective(deployment.config, request_.services));
    if (!copies.empty()) deployment.copies = keep("copies of files", copies);
    return deployment;
}

Deployment Loader::reload(const Deployment& running) const {
    const FileAccess as_at_start;
    Config candidate = load_checked(request_);
    throw_if_any(refused_changes(running.config, candidate, request_.services));
    ListenerSet listeners = running.listeners.rebind(candidate, request_.services, owner_.user);
    return deploy(std::move(candidate), std::move(listeners));
}

}  // namespace preforkd::master
