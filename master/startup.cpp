#include "master/startup.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <sstream>
#include <system_error>

#include "master/callers_stderr.hpp"
#include "master/capabilities.hpp"
#include "master/credentials.hpp"
#include "master/daemonize.hpp"
#include "master/folders.hpp"
#include "master/image.hpp"
#include "master/loader.hpp"
#include "master/lock_file.hpp"
#include "master/master.hpp"
#include "master/oom_score.hpp"
#include "master/sanitize.hpp"
#include "master/take_over.hpp"
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

std::string what_was_read(const LoadRequest& request) {
    const std::string file = config_file_of(request).string();
    return file.empty() ? "command line" : file;
}

int check(const LoadRequest& request) {
    const Config config = test_configuration(request);
    if (request.command_line.action == CommandLine::Action::check_and_render)
        fmt::print("{}", render_effective(config, request.services));
    else if (!request.command_line.quiet)
        fmt::print(stderr, "{}: {} ok: {}\n", request.program, what_was_read(request),
                   summary(config));
    return exit_ok;
}

Notifier connect_notifier() {
    const std::string address = variable("NOTIFY_SOCKET");
    if (address.empty()) return {};
    auto notifier = Notifier::connect(address);
    if (notifier) return std::move(*notifier);
    throw StartupError(exit_failure,
                       fmt::format("can't reach NOTIFY_SOCKET '{}': {}\n    whoever starts this "
                                   "server must listen there; by hand, unset it "
                                   "(env -u NOTIFY_SOCKET)",
                                   address, with_limit_advice(notifier.error())));
}

/// The caller's standard error for a daemon that is told to log there. Any other gives it back, or
/// whoever reads it would wait for as long as the server runs; for it, `stderr` means the log that
/// it has.
UniqueFd keep_callers_stderr(const Config& config, bool foreground) {
    const bool is_wanted = config.error_log.kind == LogTarget::Kind::standard_error ||
                           config.output_log.kind == LogTarget::Kind::standard_error;
    if (foreground || !is_wanted) return {};
    return open_as_log(STDERR_FILENO);  // while its terminal is still ours
}

/// With what to do about it, where a limit is the cause.
StartupError as_startup_error(const std::exception& error) {
    if (const auto* const known = dynamic_cast<const StartupError*>(&error)) return *known;
    std::string text = error.what();
    if (const auto* const system = dynamic_cast<const std::system_error*>(&error)) {
        const std::string why = system->code().message();
        if (text.ends_with(why))
            text.replace(
                text.size() - why.size(), why.size(),
                with_limit_advice({system->code().value(), boost::system::system_category()}));
    }
    return {exit_failure, text};
}

/// From here on a failure is for whoever waits for the start, and for the log once nobody does.
int run(MasterParts parts, StartupPipe& startup) {
    const StartRecord start = parts.start;
    try {
        parts.loop = make_event_loop();  // after the fork: what an epoll watches stays its maker's
        keep_needed_capabilities();
        return Master(std::move(parts), startup).run();
    } catch (const std::exception& error) {
        const StartupError failure = as_startup_error(error);
        if (!start.foreground)  // else it is told where it is reported
            startup.fail(failure.exit_code(), fmt::format("{}: {}", start.program, failure.what()));
        throw failure;
    }
}

MasterParts prepare(const LoadRequest& request, StartRecord start, const Inheritance& inheritance,
                    std::string version) {
    Config config = load_checked(request);
    MasterParts parts;
    parts.start = std::move(start);
    parts.start.foreground = stays_in_foreground(request, config);
    parts.version = std::move(version);
    parts.callers_stderr = keep_callers_stderr(config, parts.start.foreground);
    parts.log_surroundings = surroundings_of(parts.start.foreground, parts.callers_stderr.get());

    const WorkerIdentity identity = resolve_identity(config);
    UniqueFd image = open_own_image();
    if (identity.credentials) require_executable_by(*identity.credentials, image);
    const Loader loader(request, parts.log_surroundings, identity.credentials);

    if (!config.lock_file.empty()) {
        make_runtime_folder_for(config.lock_file, config.runtime_dir);
        parts.lock = LockFile::acquire(config.lock_file);
    }
    ListenerSet listeners = ListenerSet::open(
        config, request.services, inheritance.listen_fds, request.program,
        identity.credentials ? std::optional(identity.credentials->user) : std::nullopt);
    parts.deployment = loader.deploy(std::move(config), std::move(listeners));
    parts.load = [loader](const Deployment& running) { return loader.reload(running); };

    const Logger log(parts.deployment.logs.error.get(), parts.deployment.logs.error_style,
                     parts.deployment.config.log_level, request.program);
    for (const auto* notices :
         {&inheritance.notices, &identity.notices, &parts.deployment.listeners.notices()})
        for (const std::string& notice : *notices) log.warning(notice);
    if (const std::string notice = notice_of_log(parts.deployment.logs.error); !notice.empty())
        log.warning(notice);

    parts.start.kernel = ask_kernel_for_sandbox();
    parts.start.oom_score = lower_oom_score();
    parts.spawner =
        std::make_unique<Spawner>(std::move(image), identity.credentials, parts.start.oom_score);
    parts.notifier = connect_notifier();
    parts.watchdog = watchdog_timeout(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
    parts.services = request.services;
    return parts;
}

int serve(const LoadRequest& request, StartRecord start, const Inheritance& inheritance,
          const std::string& version) {
    start.environment = inheritance.environment;
    MasterParts parts = prepare(request, std::move(start), inheritance, version);
    const mode_t mask = parts.deployment.config.umask.bits;
    ::umask(mask);
    if (parts.start.foreground) {
        if (::chdir("/") < 0)
            throw StartupError(exit_failure, "can't enter '/': " + last_error().message());
        StartupPipe terminal;
        return run(std::move(parts), terminal);
    }
    StartupPipe launcher = daemonize(request.program, {parts.deployment.logs.output.get(),
                                                       parts.deployment.logs.error.get(), mask});
    if (parts.lock) (void)parts.lock->write_pid();
    return run(std::move(parts), launcher);
}

int dispatch(const LoadRequest& request, StartRecord start, const Inheritance& inheritance,
             const std::string& version) {
    switch (request.command_line.action) {
        case CommandLine::Action::show_help:
            fmt::print("{}", help_text(request.program, request.services));
            return exit_ok;
        case CommandLine::Action::show_version:
            fmt::print("{} {}\n", request.program, version);
            return exit_ok;
        case CommandLine::Action::check:
        case CommandLine::Action::check_and_render:
            return check(request);
        case CommandLine::Action::serve:
            break;
    }
    return serve(request, std::move(start), inheritance, version);
}

/// How we were started, before anything is made sane.
StartRecord record_start(const Invocation& invocation) {
    StartRecord start;
    start.program = std::filesystem::path(invocation.name).filename();
    start.arguments = invocation.arguments;
    std::error_code no_folder;  // removed under us: only relative paths care
    start.working_folder = std::filesystem::current_path(no_folder);
    if (no_folder) start.working_folder = "/";
    start.image_path = image_path_of(invocation.name, start.working_folder, variable("PATH"));
    return start;
}

}  // namespace

int report(const std::string& program, const StartupError& error) {
    std::istringstream text(error.what());
    std::string lines;
    for (std::string line; std::getline(text, line);)
        lines += (line.starts_with(' ') ? "" : program + ": ") + line + "\n";
    (void)write_all(STDERR_FILENO, lines);  // fmt::print would throw where there is no room
    return error.exit_code();
}

int run_master(const Invocation& invocation) {
    if (is_called_by_master(invocation)) return take_over(invocation);
    StartRecord start = record_start(invocation);
    try {
        const Inheritance inheritance = sanitize();
        const LoadRequest request = request_of(start, invocation.services);
        return dispatch(request, start, inheritance, invocation.version);
    } catch (const StartupError& error) {
        return report(start.program, error);
    } catch (const std::exception& error) {
        return report(start.program, as_startup_error(error));
    }
}

}  // namespace preforkd::master
