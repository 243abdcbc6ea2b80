#include "shared/config_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "shared/config_text.hpp"
#include "shared/scoreboard.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::filesystem::path;
using Kind = LogTarget::Kind;

const std::vector<std::pair<std::string, Kind>> log_words = {{"auto", Kind::automatic},
                                                             {"stderr", Kind::standard_error},
                                                             {"syslog", Kind::syslog},
                                                             {"off", Kind::off}};

// clang-format off
const std::vector<KeySpec> the_global_keys = {
    Key<UserName>{.name = "user", .field = &Config::user, .reload = Reload::restart,
                  .example = "preforkd",
                  .default_note = "as root: preforkd, or nobody if there is none; else the caller",
                  .doc = "The user that workers run as. Never root. "
                         "Needs a master that was started as root."},
    Key<GroupName>{.name = "group", .field = &Config::group, .reload = Reload::restart,
                   .example = "preforkd",
                   .default_note = "the user's",
                   .doc = "The group that workers run as."},
    Key<unsigned>{.name = "workers", .field = &Config::workers, .min = 1, .max = 1024,
                  .zero = "auto",
                  .doc = "How many workers serve the listeners that have no pool of their own. "
                         "With auto, one per processor core that this process may run on."},
    Key<AcceptMode>{.name = "accept", .field = &Config::accept, .def = AcceptMode::slots,
                    .choices = {{"slots", AcceptMode::slots}, {"shared", AcceptMode::shared}},
                    .doc = "Who accepts new connections. With slots, each worker has a listening "
                           "socket of its own at every TCP address, and clients are steered to "
                           "workers that are ready and healthy. With shared, all workers accept "
                           "from one socket. Unix sockets and those of the service manager are "
                           "always shared."},
    Key<path>{.name = "lock_file", .field = &Config::lock_file, .reload = Reload::restart,
              .example = "/run/preforkd/preforkd.pid",
              .default_note = "PROGRAM.pid in runtime_dir",
              .doc = "The file that keeps a second copy from starting; it holds the master's pid."},
    Key<path>{.name = "runtime_dir", .field = &Config::runtime_dir, .reload = Reload::restart,
              .example = "/run/preforkd",
              .default_note = "as root: /run/PROGRAM; else $XDG_RUNTIME_DIR/PROGRAM, "
                              "or /tmp/PROGRAM-UID",
              .doc = "The folder for files that matter only while the server runs. It is made if "
                     "it is absent, as is that of the default error log; any other must exist."},
    Key<FileMode>{.name = "umask", .field = &Config::umask, .def = {0027},
                  .reload = Reload::restart,
                  .doc = "The permission bits that new files never get."},
    Key<DaemonMode>{.name = "daemon", .field = &Config::daemon, .def = DaemonMode::automatic,
                    .choices = {{"auto", DaemonMode::automatic}, {"yes", DaemonMode::yes},
                                {"no", DaemonMode::no}},
                    .reload = Reload::restart,
                    .doc = "Whether the server goes to the background. With auto, preforkd does "
                           "and bbserve does not. -F, being process 1 and NOTIFY_SOCKET keep it in "
                           "the foreground in any case."},
    Key<LogTarget>{.name = "error_log", .field = &Config::error_log,
                   .kinds = {Kind::automatic, Kind::standard_error, Kind::syslog, Kind::file},
                   .doc = "Where events and errors are logged. "
                          "With auto, to standard error in the foreground; as a daemon to "
                          "/var/log/PROGRAM/error.log as root, else to error.log in runtime_dir."},
    Key<LogTarget>{.name = "output_log", .field = &Config::output_log,
                   .kinds = {Kind::automatic, Kind::standard_error, Kind::off, Kind::file},
                   .doc = "Where text goes that a service prints on its standard output. "
                          "With auto, to the error log, or nowhere if that is syslog."},
    Key<LogTarget>{.name = "access_log", .field = &Config::access_log, .def = {Kind::off, {}},
                   .kinds = {Kind::off, Kind::file},
                   .doc = "Where requests are logged, one line each."},
    Key<LogFormat>{.name = "log_format", .field = &Config::log_format, .def = LogFormat::combined,
                   .choices = {{"combined", LogFormat::combined}, {"json", LogFormat::json}},
                   .doc = "How a line of the access log looks. "
                          "With combined, as web servers have always written it; with json, an "
                          "object with names for its values."},
    Key<LogLevel>{.name = "log_level", .field = &Config::log_level, .def = LogLevel::info,
                  .choices = {{"debug", LogLevel::debug}, {"info", LogLevel::info},
                              {"notice", LogLevel::notice}, {"warning", LogLevel::warning},
                              {"error", LogLevel::error}},
                  .doc = "The least important events that the error log takes."},
    Key<SandboxMode>{.name = "sandbox", .field = &Config::sandbox, .def = SandboxMode::strict,
                     .choices = {{"strict", SandboxMode::strict}, {"off", SandboxMode::off}},
                     .doc = "What a worker may do once it serves: with strict, only the system "
                            "calls, files and connections that its services need; anything else "
                            "ends it. With off, whatever its user may: for debugging tools."},
    Key<milliseconds>{.name = "drain_timeout", .field = &Config::drain_timeout,
                      .def = 30s, .min = 1s, .max = 1h,
                      .doc = "How long an old worker may finish its sessions."},
    Key<milliseconds>{.name = "shutdown_delay", .field = &Config::shutdown_delay,
                      .def = 0s, .min = 0s, .max = 1h,
                      .doc = "How long the server goes on as before when it is told to stop (TERM), "
                             "so that a load balancer can see that it leaves and send its clients "
                             "elsewhere. A second TERM ends the delay. The drain begins after it, so a "
                             "service manager's stop timeout must be longer than both."},
    Key<milliseconds>{.name = "keepalive_grace", .field = &Config::keepalive_grace,
                      .def = 2s, .min = 0s, .max = 60s,
                      .doc = "How long a draining worker still serves idle keep-alive "
                             "connections, for the sake of a request already on its way."},
    Key<milliseconds>{.name = "ready_timeout", .field = &Config::ready_timeout,
                      .def = 30s, .min = 1s, .max = 10min,
                      .doc = "How long a new worker may take until it is ready to serve."},
    Key<milliseconds>{.name = "hang_timeout", .field = &Config::hang_timeout,
                      .def = 10s, .min = 3s, .max = 1h,
                      .doc = "How long a worker whose event loop has stood still for two seconds has "
                             "before it is killed. New connections go elsewhere at once."},
    Key<unsigned>{.name = "max_requests", .field = &Config::max_requests,
                       .min = 1, .zero = "off",
                       .doc = "How many requests a worker serves before a fresh one takes its "
                              "place; up to a fifth fewer, by chance, so that not all are "
                              "replaced at once."},
    Key<milliseconds>{.name = "max_lifetime", .field = &Config::max_lifetime,
                      .min = 1s, .max = 8760h, .zero = "off",
                      .doc = "How long a worker serves before a fresh one takes its place; up to "
                             "a fifth less, by chance."},
    Key<ByteCount>{.name = "max_rss", .field = &Config::max_rss,
                   .min = {1u << 20}, .zero = "off",
                   .doc = "How much memory a worker may have resident before a fresh one takes "
                          "its place."},
};

const std::vector<KeySpec> the_listener_keys = {
    Key<std::vector<std::string>>{
        .name = "address", .field = &ListenerOptions::address, .required = true,
        .example = "*:80",
        .doc = "Where to listen: *:80 or :80 for every IPv4 address, [::]:80 for every IPv6 address, "
               "127.0.0.1:80, [::1]:80, HOST:80, or unix:PATH. "
               "Port 0 lets the kernel choose."},
    Key<std::string>{.name = "service", .field = &ListenerOptions::service, .required = true,
                     .doc = "What is served."},
    Key<std::optional<unsigned>>{
        .name = "workers", .field = &ListenerOptions::workers, .min = 1, .max = 1024,
        .zero = "auto", .default_note = "none of its own: the shared workers serve it",
        .doc = "How many workers this listener has to itself."},
    Key<unsigned>{.name = "backlog", .field = &ListenerOptions::backlog,
                  .def = 4096, .min = 1, .max = 65535,
                  .doc = "How many established connections may wait to be accepted. "
                         "The kernel's net.core.somaxconn is another limit."},
};
// clang-format on

bool is_key_name(std::string_view name) {
    return !name.empty() && name.size() <= 64 &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
               std::string_view::npos;
}

/// What is wrong with one key of a service, or nothing.
std::string declaration_problem(const KeySpec& key, const ServiceSpec& service) {
    if (!is_key_name(key.name)) return "is not a name of [a-z0-9_]+";
    if (find_key(listener_keys(), key.name)) return "is a key that every listener has";
    if (&key != find_key(service.keys, key.name)) return "is declared twice";
    if (key.owner == typeid(void)) return "is bound to no field";
    if (key.owner != service.keys.front().owner) return "is bound to another struct than the first";
    for (const std::string& text : key.default_texts)
        if (const CheckedText checked = key.check(text, "/"); !checked.problem.empty())
            return "has a wrong default: " + checked.problem;
    return {};
}

}  // namespace

std::string type_name(const Key<LogTarget>&) {
    return "log";
}

std::string expected_text(const Key<LogTarget>& key) {
    std::vector<std::string> words;
    for (const auto& [word, kind] : log_words)
        if (std::ranges::count(key.kinds, kind) > 0) words.push_back(word);
    words.push_back("a file's path");
    return either_of(words);
}

std::string parse_for(const Key<LogTarget>& key, std::string_view text, const path& base,
                      LogTarget& value) {
    for (const auto& [word, kind] : log_words) {
        if (word != text) continue;
        value = {kind, {}};
        return std::ranges::count(key.kinds, kind) > 0 ? "" : "is not possible here";
    }
    value = {Kind::file, absolute_path(text, base)};
    return {};
}

std::string render_for(const Key<LogTarget>&, const LogTarget& value) {
    for (const auto& [word, kind] : log_words)
        if (kind == value.kind) return word;
    return value.path.string();
}

const std::vector<KeySpec>& global_keys() {
    return the_global_keys;
}

const std::vector<KeySpec>& listener_keys() {
    return the_listener_keys;
}

std::vector<KeySpec> listener_keys_for(const std::vector<ServiceSpec>& services) {
    std::vector<std::string> names;
    for (const ServiceSpec& service : services) names.push_back(service.name);
    std::vector<KeySpec> keys = the_listener_keys;
    for (KeySpec& key : keys) {
        if (key.name != "service" || names.empty()) continue;
        key.expected = either_of(names);
        key.example = names.front();
        key.check = [wanted = key.expected](std::string_view text, const path&) -> CheckedText {
            if (text.empty()) return {{}, "no value; expected " + wanted};
            return {std::string(text), {}};
        };
    }
    return keys;
}

const KeySpec* find_key(const std::vector<KeySpec>& keys, std::string_view name) {
    const auto found = std::ranges::find(keys, name, &KeySpec::name);
    return found == keys.end() ? nullptr : &*found;
}

namespace {

bool is_metric_name(std::string_view name) {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz";
    return !name.empty() && name.size() <= 40 && letters.find(name.front()) != letters.npos &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
}

/// What is wrong with the metrics that a service declares, each to stand after its name.
std::vector<std::string> metric_problems(const std::vector<Metric>& metrics) {
    std::vector<std::string> problems;
    std::set<std::string> names;
    for (const Metric& metric : metrics) {
        if (!is_metric_name(metric.name))
            problems.push_back(
                fmt::format("metric '{}' is not a name of [a-z][a-z0-9_]{{0,39}}", metric.name));
        if (metric.name.ends_with("_total"))
            problems.push_back(
                fmt::format("metric '{}' ends in _total, which is added where it "
                            "is shown",
                            metric.name));
        if (!names.insert(metric.name).second)
            problems.push_back(fmt::format("metric '{}' is declared twice", metric.name));
    }
    if (metrics.size() > most_metrics)
        problems.push_back(
            fmt::format("declares {} metrics, and {} is the most", metrics.size(), most_metrics));
    return problems;
}

}  // namespace

Faults declaration_faults(const std::vector<ServiceSpec>& services) {
    Faults faults;
    std::set<std::string> names;
    const auto report = [&faults](std::string what) {
        faults.push_back({{}, {}, std::move(what), "this is an error in the program itself"});
    };
    for (const ServiceSpec& service : services) {
        if (!is_listener_name(service.name))
            report(fmt::format("service '{}' is not a name of [a-z0-9_-]{{1,32}}", service.name));
        if (!names.insert(service.name).second)
            report(fmt::format("service '{}' is declared twice", service.name));
        for (const KeySpec& key : service.keys)
            if (const std::string problem = declaration_problem(key, service); !problem.empty())
                report(fmt::format("service '{}': key '{}' {}", service.name, key.name, problem));
        for (const std::string& problem : metric_problems(service.metrics))
            report(fmt::format("service '{}': {}", service.name, problem));
    }
    return faults;
}

}  // namespace preforkd
