#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "shared/snapshot_text.hpp"

namespace preforkd {
namespace {

/// The value of a label: backslash, quote and line feed are escaped, other control bytes left out.
std::string label(std::string_view text) {
    std::string escaped;
    for (const char character : text) {
        if (character == '\\' || character == '"') escaped += '\\';
        if (character == '\n') escaped += "\\n";
        if (static_cast<unsigned char>(character) >= 0x20) escaped += character;
    }
    return escaped;
}

class Metrics {
  public:
    explicit Metrics(const Snapshot& snapshot, TimePoint now) : snapshot_(snapshot), now_(now) {}

    std::string render() {
        add_server();
        add_workers();
        add_listeners();
        add_durations();
        add_own_metrics();
        return std::move(text_);
    }

  private:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        add("# HELP preforkd_{0} {2}\n# TYPE preforkd_{0} {1}\n", name, type, help);
    }

    template <class... Values>
    void add(fmt::format_string<Values...> format, Values&&... values) {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    }

    /// One number for the whole server.
    template <class Value>
    void single(std::string_view name, std::string_view type, std::string_view help, Value value) {
        family(name, type, help);
        add("preforkd_{} {}\n", name, value);
    }

    /// One number for each listener.
    template <class Get>
    void of_listeners(std::string_view name, std::string_view type, std::string_view help,
                      Get get) {
        family(name, type, help);
        for (const ListenerEntry& listener : snapshot_.listeners)
            add("preforkd_{}{{listener=\"{}\"}} {}\n", name, label(listener.name.view()),
                get(listener));
    }

    /// One number for each worker that lives.
    template <class Get>
    void of_workers(std::string_view name, std::string_view type, std::string_view help, Get get) {
        family(name, type, help);
        for (const WorkerView& worker : snapshot_.workers)
            add("preforkd_{}{{slot=\"{}\",pid=\"{}\"}} {}\n", name, label(worker.entry.slot.view()),
                worker.entry.pid, get(worker));
    }

    void add_server() {
        const MasterFront& front = snapshot_.front;
        family("build_info", "gauge", "The version that runs.");
        add("preforkd_build_info{{version=\"{}\"}} 1\n", label(front.program_version.view()));
        single("start_time_seconds", "gauge", "When the master was started, since 1970.",
               front.started_time);
        single("generation", "gauge", "Generation of the configuration in service.",
               front.generation);
        single("ready", "gauge", "Whether new clients are welcome.", front.ready != 0 ? 1 : 0);
        add_last_reload();
        family("worker_exits_total", "counter", "Workers that have ended, by how.");
        for (std::size_t kind = 0; kind < exit_kinds; ++kind)
            add("preforkd_worker_exits_total{{reason=\"{}\"}} {}\n",
                label(to_string(static_cast<ExitKind>(kind))), front.exits[kind]);
    }

    void add_last_reload() {
        const std::vector<Verdict> verdicts = verdicts_of(snapshot_.front);
        if (verdicts.empty()) return;
        single("config_last_reload_successful", "gauge",
               "Whether the last configuration that was offered is in service.",
               verdicts.front().accepted);
        const auto accepted =
            std::find_if(verdicts.begin(), verdicts.end(),
                         [](const Verdict& verdict) { return verdict.accepted != 0; });
        if (accepted != verdicts.end())
            single("config_last_reload_success_timestamp_seconds", "gauge",
                   "When the configuration in service was accepted, since 1970.", accepted->time);
    }

    void add_workers() {
        constexpr std::array states{PageState::starting, PageState::serving, PageState::hung,
                                    PageState::draining, PageState::ending};
        family("workers", "gauge", "Workers, by state.");
        for (const PageState state : states)
            add("preforkd_workers{{state=\"{}\"}} {}\n", to_string(state),
                std::count_if(
                    snapshot_.workers.begin(), snapshot_.workers.end(),
                    [state](const WorkerView& worker) { return worker.entry.state == state; }));
        of_workers("worker_connections_active", "gauge", "Open connections of a worker.",
                   [](const WorkerView& worker) { return worker.totals.active(); });
        of_workers("worker_resident_memory_bytes", "gauge", "Resident memory of a worker.",
                   [](const WorkerView& worker) { return worker.memory; });
        of_workers("worker_cpu_seconds_total", "counter", "Processor time of a worker.",
                   [](const WorkerView& worker) { return static_cast<double>(worker.cpu) / 1e9; });
        of_workers("worker_uptime_seconds", "gauge", "Age of a worker.",
                   [this](const WorkerView& worker) {
                       const auto age = now_ - time_point(worker.entry.spawned_at);
                       return std::chrono::duration<double>(age).count();
                   });
        of_workers("worker_log_lines_dropped_total", "counter",
                   "Log lines of a worker that could not be written.",
                   [](const WorkerView& worker) { return worker.log_lines_dropped; });
    }

    void add_listeners() {
        of_listeners("connections_accepted_total", "counter", "Connections accepted.",
                     [](const ListenerEntry& listener) { return listener.totals.accepted; });
        of_listeners("connections_active", "gauge", "Connections open.",
                     [](const ListenerEntry& listener) { return listener.totals.active(); });
        of_listeners("connections_failed_total", "counter",
                     "Connections that ended by an error of their service.",
                     [](const ListenerEntry& listener) { return listener.totals.failures; });
        of_listeners("received_bytes_total", "counter", "Bytes received from clients.",
                     [](const ListenerEntry& listener) { return listener.totals.received; });
        of_listeners("sent_bytes_total", "counter", "Bytes sent to clients.",
                     [](const ListenerEntry& listener) { return listener.totals.sent; });
        family("requests_total", "counter", "Requests answered, by class of status.");
        constexpr std::array classes{"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
        for (const ListenerEntry& listener : snapshot_.listeners)
            for (std::size_t i = 0; i < classes.size(); ++i)
                add("preforkd_requests_total{{listener=\"{}\",code=\"{}\"}} {}\n",
                    label(listener.name.view()), classes[i], listener.totals.responses[i]);
    }

    /// Each doubling is a bucket here; the scoreboard has four to each.
    void add_durations() {
        family("request_duration_seconds", "histogram",
               "From a request's first byte to the last of its answer.");
        for (const ListenerEntry& listener : snapshot_.listeners) {
            const std::string name = label(listener.name.view());
            std::uint64_t count = 0;
            for (std::size_t bucket = 0; bucket < DurationBuckets::count; ++bucket) {
                count += listener.totals.durations[bucket];
                if (bucket % 4 != 3 || bucket + 1 == DurationBuckets::count) continue;
                add("preforkd_request_duration_seconds_bucket{{listener=\"{}\",le=\"{}\"}} {}\n",
                    name, static_cast<double>(DurationBuckets::end_of(bucket)) / 1e9, count);
            }
            add("preforkd_request_duration_seconds_bucket{{listener=\"{}\",le=\"+Inf\"}} {}\n"
                "preforkd_request_duration_seconds_sum{{listener=\"{}\"}} {}\n"
                "preforkd_request_duration_seconds_count{{listener=\"{}\"}} {}\n",
                name, count, name, static_cast<double>(listener.totals.duration_sum) / 1e9, name,
                count);
        }
    }

    /// What services declare themselves, as SERVICE_NAME; the listeners of one stand together.
    void add_own_metrics() {
        std::vector<std::string> done;
        for (const ListenerEntry& first : snapshot_.listeners)
            for (std::size_t i = 0; i < first.metrics.size(); ++i) {
                const std::string name = own_name(first, i);
                if (name.empty() || std::find(done.begin(), done.end(), name) != done.end())
                    continue;
                done.push_back(name);
                const bool counts = first.metrics[i].kind == MetricEntry::Kind::counter;
                family(name, counts ? "counter" : "gauge", one_line(first.metrics[i].doc.view()));
                add_own_values(name);
            }
    }

    void add_own_values(const std::string& name) {
        for (const ListenerEntry& listener : snapshot_.listeners)
            for (std::size_t i = 0; i < listener.metrics.size(); ++i)
                if (own_name(listener, i) == name)
                    add("preforkd_{}{{listener=\"{}\"}} {}\n", name, label(listener.name.view()),
                        listener.totals.metrics[i]);
    }

    static std::string own_name(const ListenerEntry& listener, std::size_t index) {
        const MetricEntry& metric = listener.metrics[index];
        if (metric.kind == MetricEntry::Kind::none) return {};
        std::string name = fmt::format("{}_{}{}", listener.service.view(), metric.name.view(),
                                       metric.kind == MetricEntry::Kind::counter ? "_total" : "");
        std::replace(name.begin(), name.end(), '-', '_');
        return name;
    }

    static std::string one_line(std::string_view text) {
        std::string line(text);
        std::replace(line.begin(), line.end(), '\n', ' ');
        std::replace(line.begin(), line.end(), '\\', '/');
        return line;
    }

    const Snapshot& snapshot_;
    TimePoint now_;
    std::string text_;
};

}  // namespace

std::string to_metrics(const Snapshot& snapshot, TimePoint now) {
    return Metrics(snapshot, now).render();
}

}  // namespace preforkd
