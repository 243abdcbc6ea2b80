#include "master/startup.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <sstream>

#include "master/capabilities.hpp"
#include "master/credentials.hpp"
#include "master/daemonize.hpp"
#include "master/deployment.hpp"
#include "master/lock_file.hpp"
#include "master/master.hpp"
#include "master/oom_score.hpp"
#include "master/sanitize.hpp"
#include "master/service_paths.hpp"
#include "shared/config_diff.hpp"
#include "shared/config_docs.hpp"
#include "shared/exit_code.hpp"
#include "shared/kernel_sandbox.hpp"
#include "shared/sole_service.hpp"
#include "shared/syscalls.hpp"
#include "shared/version.hpp"

namespace preforkd::master {
namespace {

std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

/// Process 1 has no caller to return to, and a service manager that wants to be notified watches
/// the process that it started.
bool stays_in_foreground(const LoadRequest& request, const Config& config) {
    if (request.command_line.foreground || ::getpid() == 1 || !variable("NOTIFY_SOCKET").empty())
        return true;
    if (config.daemon != DaemonMode::automatic) return config.daemon == DaemonMode::no;
    return sole_service(request.program, request.services) != nullptr;
}

/// Throws StartupError with every fault.
Config load(const LoadRequest& request) {
    LoadResult loaded = load_config(request);
    if (!loaded) throw StartupError(exit_configuration, to_string(loaded.error()));
    return std::move(*loaded);
}

void throw_if_any(const Faults& faults) {
    if (!faults.empty()) throw StartupError(exit_configuration, to_string(faults));
}

int check(const LoadRequest& request) {
    const Config config = load(request);
    Faults faults;
    (void)open_service_paths(config, request.services, std::nullopt, faults);
    throw_if_any(faults);
    if (request.command_line.action == CommandLine::Action::check_and_render)
        fmt::print("{}", render_effective(config, request.services));
    else if (!request.command_line.quiet)
        fmt::print(stderr, "{}: {} ok: {} listeners\n", request.program,
                   config_file_of(request).string(), config.listeners.size());
    return exit_ok;
}

UniqueFd open_image() {
    UniqueFd image(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    if (!image.is_open())
        throw StartupError(exit_failure, "can't open our own program by /proc/self/exe: " +
                                             last_error().message() + "\n          mount /proc");
    return image;
}

DataOwner data_owner(const std::optional<Credentials>& credentials) {
    if (credentials) return {credentials->user, credentials->group};
    return {::geteuid(), ::getegid()};
}

/// Everything of a deployment; what is opened is closed again when something later fails.
Deployment deploy(const LoadRequest& request, Config config, ListenerSet listeners,
                  const LogSurroundings& surroundings, DataOwner owner) {
    Deployment deployment{std::move(config), {}, std::move(listeners), {}, {}};
    Faults faults;
    deployment.paths = open_service_paths(deployment.config, request.services, owner, faults);
    throw_if_any(faults);
    deployment.logs = open_logs(deployment.config, surroundings);
    auto text = sealed_memory("preforkd-configuration",
                              render_effective(deployment.config, request.services));
    if (!text)
        throw StartupError(exit_failure, "can't keep the configuration: " + text.error().message());
    deployment.config_text = std::move(*text);
    return deployment;
}

Notifier connect_notifier() {
    const std::string address = variable("NOTIFY_SOCKET");
    if (address.empty()) return {};
    auto notifier = Notifier::connect(address);
    if (notifier) return std::move(*notifier);
    throw StartupError(exit_failure, fmt::format("can't reach NOTIFY_SOCKET '{}': {}", address,
                                                 notifier.error().message()));
}

/// The caller's standard error for a daemon that is told to log there. Any other gives it back, or
/// whoever reads it would wait for as long as the server runs; for it, `stderr` means the log that
/// it has.
UniqueFd keep_callers_stderr(const Config& config, bool foreground) {
    const bool is_wanted = config.error_log.kind == LogTarget::Kind::standard_error ||
                           config.output_log.kind == LogTarget::Kind::standard_error;
    if (foreground || !is_wanted) return {};
    return UniqueFd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
}

/// What a reload puts beside the running deployment.
Deployment reload(const LoadRequest& request, const Deployment& running,
                  const LogSurroundings& surroundings, DataOwner owner) {
    const FileAccess as_at_start;
    Config candidate = load(request);
    throw_if_any(refused_changes(running.config, candidate, request.services));
    ListenerSet listeners = running.listeners.rebind(candidate, request.services);
    return deploy(request, std::move(candidate), std::move(listeners), surroundings, owner);
}

/// What this kernel can't confine workers in, said once.
std::vector<std::string> sandbox_notices(const Config& config) {
    std::vector<std::string> notices;
    if (config.sandbox == SandboxMode::off) return notices;
    const std::string gaps = landlock_gaps(landlock_abi());
    if (!gaps.empty())
        notices.push_back("this kernel's Landlock can't confine workers in: " + gaps);
    if (!kernel_has_seccomp())
        notices.emplace_back("this kernel can't filter the workers' system calls (CONFIG_SECCOMP)");
    return notices;
}

/// From here on a failure is for whoever waits for the start, and for the log once nobody does.
int run(MasterParts parts, StartupPipe& startup) {
    const std::string program = parts.deployment.config.program;
    try {
        keep_needed_capabilities();
        return Master(std::move(parts), startup).run();
    } catch (const std::exception& error) {
        startup.fail(exit_failure, fmt::format("{}: {}", program, error.what()));
        throw;
    }
}

int serve(const LoadRequest& request, const Inheritance& inheritance) {
    Config config = load(request);
    const bool foreground = stays_in_foreground(request, config);
    const UniqueFd callers_stderr = keep_callers_stderr(config, foreground);
    const LogSurroundings surroundings{
        foreground, callers_stderr.is_open() ? callers_stderr.get() : STDERR_FILENO, syslog_socket};

    const WorkerIdentity identity = resolve_identity(config);
    UniqueFd image = open_image();
    if (identity.credentials) require_executable_by(*identity.credentials, image);
    const DataOwner owner = data_owner(identity.credentials);

    std::optional<LockFile> lock;
    if (!config.lock_file.empty()) lock = LockFile::acquire(config.lock_file);
    ListenerSet listeners =
        ListenerSet::open(config, request.services, inheritance.listen_fds, request.program);
    Deployment deployment =
        deploy(request, std::move(config), std::move(listeners), surroundings, owner);

    const Logger log(deployment.logs.error.get(), deployment.logs.error_style,
                     deployment.config.log_level, request.program);
    const auto kernel_notices = sandbox_notices(deployment.config);
    for (const auto* notices : {&inheritance.notices, &identity.notices,
                                &deployment.listeners.notices(), &kernel_notices})
        for (const std::string& notice : *notices) log.warning(notice);

    MasterParts parts{
        std::move(deployment),
        Spawner(std::move(image), identity.credentials, lower_oom_score()),
        connect_notifier(),
        watchdog_timeout(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID")),
        surroundings,
        [&](const Deployment& running) { return reload(request, running, surroundings, owner); },
        request.services};
    const Config& first = parts.deployment.config;
    ::umask(first.umask.bits);
    if (foreground) {
        if (::chdir("/") < 0)
            throw StartupError(exit_failure, "can't enter '/': " + last_error().message());
        StartupPipe terminal;
        return run(std::move(parts), terminal);
    }
    StartupPipe launcher = daemonize(
        request.program,
        {parts.deployment.logs.output.get(), parts.deployment.logs.error.get(), first.umask.bits});
    if (lock) (void)lock->write_pid();
    return run(std::move(parts), launcher);
}

int dispatch(const LoadRequest& request, const Inheritance& inheritance) {
    switch (request.command_line.action) {
        case CommandLine::Action::show_help:
            fmt::print("{}", help_text(request.program, request.services));
            return exit_ok;
        case CommandLine::Action::show_version:
            fmt::print("{} {}\n", request.program, program_version());
            return exit_ok;
        case CommandLine::Action::check:
        case CommandLine::Action::check_and_render:
            return check(request);
        case CommandLine::Action::serve:
            break;
    }
    return serve(request, inheritance);
}

/// "program: FAULT" for each line, but for the indented ones, which say what to do about the last.
int report(const std::string& program, const StartupError& error) {
    std::istringstream text(error.what());
    for (std::string line; std::getline(text, line);)
        fmt::print(stderr, "{}{}\n", line.starts_with(' ') ? "" : program + ": ", line);
    return error.exit_code();
}

}  // namespace

int run_master(std::string program, const std::vector<std::string>& arguments,
               std::vector<ServiceSpec> services) {
    try {
        std::error_code no_folder;  // removed under us: only relative paths care
        LoadRequest request;
        request.working_folder = std::filesystem::current_path(no_folder);
        if (no_folder) request.working_folder = "/";
        const Inheritance inheritance = sanitize();
        request.program = program;
        request.services = std::move(services);
        request.effective_uid = ::geteuid();
        request.surroundings = system_surroundings();
        const bool alone = sole_service(program, request.services) != nullptr;
        auto command_line = parse_command_line(arguments, request.services, alone);
        if (!command_line) throw StartupError(exit_usage, to_string(command_line.error()));
        request.command_line = std::move(*command_line);
        return dispatch(request, inheritance);
    } catch (const StartupError& error) {
        return report(program, error);
    } catch (const std::exception& error) {
        return report(program, StartupError(exit_failure, error.what()));
    }
}

}  // namespace preforkd::master
