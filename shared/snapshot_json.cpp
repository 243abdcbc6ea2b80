#include <algorithm>
#include <array>

#include "shared/json_text.hpp"
#include "shared/snapshot_text.hpp"

namespace preforkd {
namespace {

double in_seconds(std::uint64_t nanoseconds) noexcept {
    return static_cast<double>(nanoseconds) / 1e9;
}

double seconds_between(TimePoint from, TimePoint to) noexcept {
    return std::chrono::duration<double>(to - from).count();
}

void add_verdict(JsonText& json, const Verdict& verdict) {
    json.begin_object();
    json.member("number", verdict.number);
    json.member("kind", to_string(verdict.kind));
    json.member("accepted", verdict.accepted != 0);
    json.member("generation", verdict.generation);
    json.member("time", verdict.time);
    json.member("text", verdict.text.view());
    json.end_object();
}

void add_durations(JsonText& json, const SectionTotals& totals) {
    json.name("durations");
    json.begin_array();
    for (std::size_t bucket = 0; bucket < totals.durations.size(); ++bucket) {
        if (totals.durations[bucket] == 0) continue;
        json.begin_array();
        json.value(in_seconds(DurationBuckets::end_of(bucket)));
        json.value(totals.durations[bucket]);
        json.end_array();
    }
    json.end_array();
}

void add_metrics(JsonText& json, const ListenerEntry& listener) {
    json.name("metrics");
    json.begin_object();
    for (std::size_t i = 0; i < listener.metrics.size(); ++i)
        if (listener.metrics[i].kind != MetricEntry::Kind::none)
            json.member(listener.metrics[i].name.view(), listener.totals.metrics[i]);
    json.end_object();
}

void add_totals(JsonText& json, const SectionTotals& totals) {
    json.member("accepted", totals.accepted);
    json.member("active", totals.active());
    json.member("failures", totals.failures);
    json.member("received_bytes", totals.received);
    json.member("sent_bytes", totals.sent);
    json.member("requests", totals.requests());
}

void add_listener(JsonText& json, const ListenerEntry& listener) {
    json.begin_object();
    json.member("name", listener.name.view());
    json.member("service", listener.service.view());
    json.member("pool", listener.pool.view());
    json.member("addresses", listener.addresses.view());
    json.member("in_service", listener.in_service != 0);
    json.member("workers", listener.workers);
    add_totals(json, listener.totals);
    constexpr std::array names{"other", "1xx", "2xx", "3xx", "4xx", "5xx"};
    json.name("responses");
    json.begin_object();
    for (std::size_t i = 0; i < names.size(); ++i)
        json.member(names[i], listener.totals.responses[i]);
    json.end_object();
    json.member("p50", in_seconds(listener.totals.percentile(0.5)));
    json.member("p99", in_seconds(listener.totals.percentile(0.99)));
    add_durations(json, listener.totals);
    add_metrics(json, listener);
    json.end_object();
}

void add_worker(JsonText& json, const WorkerView& worker, TimePoint now) {
    const WorkerEntry& entry = worker.entry;
    json.begin_object();
    json.member("slot", entry.slot.view());
    json.member("pid", entry.pid);
    json.member("generation", entry.generation);
    json.member("state", to_string(entry.state));
    json.member("uptime", seconds_between(time_point(entry.spawned_at), now));
    json.name("closes_in");
    if (entry.deadline == 0)
        json.null();
    else
        json.value(seconds_between(now, time_point(entry.deadline)));
    add_totals(json, worker.totals);
    json.member("memory_bytes", worker.memory);
    json.member("cpu_seconds", in_seconds(worker.cpu));
    json.member("log_lines_dropped", worker.log_lines_dropped);
    json.end_object();
}

void add_front(JsonText& json, const MasterFront& front, TimePoint now) {
    json.member("program", front.program.view());
    json.member("version", front.program_version.view());
    json.member("pid", front.pid);
    json.member("state", to_string(front.state));
    json.member("ready", front.ready != 0);
    json.member("generation", front.generation);
    json.member("started", front.started_time);
    json.member("uptime", seconds_between(time_point(front.started_at), now));
}

}  // namespace

std::vector<Verdict> verdicts_of(const MasterFront& front) {
    std::vector<Verdict> verdicts;
    for (const Verdict& verdict : front.verdicts)
        if (verdict.kind != Verdict::Kind::none) verdicts.push_back(verdict);
    std::sort(verdicts.begin(), verdicts.end(),
              [](const Verdict& one, const Verdict& other) { return one.number > other.number; });
    return verdicts;
}

std::string to_json(const Snapshot& snapshot, TimePoint now) {
    JsonText json;
    json.begin_object();
    add_front(json, snapshot.front, now);
    json.name("listeners");
    json.begin_array();
    for (const ListenerEntry& listener : snapshot.listeners) add_listener(json, listener);
    json.end_array();
    json.name("workers");
    json.begin_array();
    for (const WorkerView& worker : snapshot.workers) add_worker(json, worker, now);
    json.end_array();
    json.name("exits");
    json.begin_object();
    for (std::size_t kind = 0; kind < exit_kinds; ++kind)
        json.member(to_string(static_cast<ExitKind>(kind)), snapshot.front.exits[kind]);
    json.end_object();
    json.name("verdicts");
    json.begin_array();
    for (const Verdict& verdict : verdicts_of(snapshot.front)) add_verdict(json, verdict);
    json.end_array();
    json.end_object();
    return json.text() + "\n";
}

SectionTotals difference(const SectionTotals& now, const SectionTotals& before) {
    static_assert(sizeof(SectionTotals) % sizeof(std::uint64_t) == 0);
    constexpr std::size_t numbers = sizeof(SectionTotals) / sizeof(std::uint64_t);
    std::array<std::uint64_t, numbers> left{}, right{};
    copy_words(left.data(), &now, sizeof now);
    copy_words(right.data(), &before, sizeof before);
    for (std::size_t i = 0; i < numbers; ++i) left[i] = left[i] > right[i] ? left[i] - right[i] : 0;
    SectionTotals result;
    copy_words(&result, left.data(), sizeof result);
    return result;
}

}  // namespace preforkd
