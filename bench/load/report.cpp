#include "bench/load/report.hpp"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

namespace preforkd::bench {
namespace {

using Out = std::back_insert_iterator<std::string>;

constexpr std::array<std::pair<const char*, double>, 9> quantiles = {{{"p50", 0.5},
                                                                      {"p75", 0.75},
                                                                      {"p90", 0.9},
                                                                      {"p95", 0.95},
                                                                      {"p99", 0.99},
                                                                      {"p99.5", 0.995},
                                                                      {"p99.9", 0.999},
                                                                      {"p99.99", 0.9999},
                                                                      {"max", 1.0}}};

double microseconds(nanoseconds time) {
    return double(time.count()) / 1e3;
}
double seconds(nanoseconds time) {
    return double(time.count()) / 1e9;
}

double per_request(nanoseconds cpu, const Tally& tally) {
    return tally.answered.get() == 0 ? 0 : microseconds(cpu) / double(tally.answered.get());
}

std::string readable(nanoseconds time) {
    const double value = double(time.count());
    if (value < 1e6) return fmt::format("{:.0f} us", value / 1e3);
    if (value < 1e9) return fmt::format("{:.2f} ms", value / 1e6);
    return fmt::format("{:.2f} s", value / 1e9);
}

std::string readable_bytes(double bytes) {
    constexpr std::array<const char*, 4> units = {"B", "KiB", "MiB", "GiB"};
    std::size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < units.size(); ++unit) bytes /= 1024;
    return fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string grouped(std::uint64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
    return digits;
}

std::string shape(const Options& options) {
    std::string text = options.one_shot ? "a connection for each request" : "keep-alive";
    if (options.pipeline > 1) text += fmt::format(", pipelined x {}", options.pipeline);
    if (options.think.count() > 0) text += ", thinking " + readable(options.think);
    if (options.rate > 0) text += fmt::format(", open loop at {:.0f}/s", options.rate);
    return text;
}

void latency_lines(Out out, const char* title, const Histogram& latency) {
    fmt::format_to(out, "  {:<12}mean {}, min {}, max {}\n{:14}", title, readable(latency.mean()),
                   readable(latency.min()), readable(latency.max()), "");
    for (const char* name : {"p50", "p90", "p99", "p99.9", "p99.99"})
        for (const auto& [known, fraction] : quantiles)
            if (std::string_view(known) == name)
                fmt::format_to(out, "{} {}{}", name, readable(latency.quantile(fraction)),
                               std::string_view(name) == "p99.99" ? "\n" : ", ");
}

void failure_lines(Out out, const Tally& tally) {
    fmt::format_to(out, "  {:<12}{}\n", "failed", grouped(tally.failed.get()));
    for (std::size_t kind = 0; kind < failure_kinds; ++kind) {
        const auto failure = Failure(kind);
        if (tally.failures(failure) == 0) continue;
        fmt::format_to(out, "    {:<18}{:>10}  ({} on new connections, {} on reused ones)\n",
                       failure_names[kind], grouped(tally.failures(failure)),
                       grouped(tally.failures(failure, Carrier::fresh_connection)),
                       grouped(tally.failures(failure, Carrier::reused_connection)));
    }
}

void connection_line(Out out, const Tally& tally) {
    fmt::format_to(
        out, "  {:<12}{} opened, {} closed as the server announced, {} found closed while idle",
        "connections", grouped(tally.connections_opened), grouped(tally.closes_announced),
        grouped(tally.closes_while_idle));
    if (tally.resets_while_idle > 0)
        fmt::format_to(out, ", {} found reset while idle", grouped(tally.resets_while_idle));
    if (tally.unsolicited > 0)
        fmt::format_to(out, ", {} dropped for bytes nobody asked for", grouped(tally.unsolicited));
    fmt::format_to(out, "\n");
}

void histogram_json(Out out, const char* name, const Histogram& histogram) {
    fmt::format_to(out, "  \"{}\": {{\"count\": {}, \"mean\": {:.3f}, \"min\": {:.3f}", name,
                   histogram.count(), microseconds(histogram.mean()),
                   microseconds(histogram.min()));
    for (const auto& [label, fraction] : quantiles)
        fmt::format_to(out, ", \"{}\": {:.3f}", label, microseconds(histogram.quantile(fraction)));
    fmt::format_to(out, "}},\n");
}

void failures_json(Out out, const Tally& tally) {
    fmt::format_to(out, "  \"failures\": {{");
    for (std::size_t kind = 0; kind < failure_kinds; ++kind) {
        const auto failure = Failure(kind);
        fmt::format_to(out, "{}\"{}\": {{\"fresh\": {}, \"reused\": {}}}", kind == 0 ? "" : ", ",
                       failure_names[kind], tally.failures(failure, Carrier::fresh_connection),
                       tally.failures(failure, Carrier::reused_connection));
    }
    fmt::format_to(out, "}},\n");
}

void slices_json(Out out, const Options& options, const Tally& tally) {
    fmt::format_to(out, "  \"slice_seconds\": {},\n  \"slices\": [", seconds(options.slice));
    const char* separator = "\n";
    for (const Slice& slice : tally.slices()) {
        fmt::format_to(out, "{}    {{\"answered\": {}, \"slowest\": {:.1f}",
                       std::exchange(separator, ",\n"), slice.answered,
                       microseconds(slice.slowest));
        for (std::size_t kind = 0; kind < failure_kinds; ++kind)
            if (slice.failed[kind] > 0)
                fmt::format_to(out, ", \"{}\": {}", failure_names[kind], slice.failed[kind]);
        fmt::format_to(out, "}}");
    }
    fmt::format_to(out, "\n  ]\n");
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (static_cast<unsigned char>(c) < 0x20)
            out += fmt::format("\\u{:04x}", c);
        else
            out += c;
    }
    return out;
}

}  // namespace

std::string text_report(const Options& options, const Result& result) {
    const Tally& tally = result.tally;
    const double time = seconds(result.elapsed);
    std::string text;
    const Out out(text);
    fmt::format_to(out, "{}\n  {} connections, {} thread{}, {:.1f} s, {}\n", options.url.text,
                   options.connections, options.threads, options.threads == 1 ? "" : "s", time,
                   shape(options));
    fmt::format_to(out, "  {:<12}{} answered, {:.0f}/s, {}/s\n", "requests",
                   grouped(tally.answered.get()), double(tally.answered.get()) / time,
                   readable_bytes(double(tally.bytes_received) / time));
    latency_lines(out, "latency", tally.latency);
    if (options.rate > 0) latency_lines(out, "from sending", tally.service_time);
    if (!options.servers.empty())
        fmt::format_to(out, "  {:<12}{:.2f} us CPU a request, {:.2f} CPUs busy\n", "server",
                       per_request(result.server_cpu, tally), seconds(result.server_cpu) / time);
    fmt::format_to(out, "  {:<12}{:.2f} us CPU a request, {:.2f} CPUs busy\n", "client",
                   per_request(result.client_cpu, tally), seconds(result.client_cpu) / time);
    connection_line(out, tally);
    if (!result.signals.empty())
        fmt::format_to(out, "  {:<12}{} sent\n", "signals", result.signals.size());
    if (tally.never_sent > 0)
        fmt::format_to(out,
                       "  {:<12}{} requests were due and never sent: the rate could not be kept\n",
                       "behind", grouped(tally.never_sent));
    failure_lines(out, tally);
    return text;
}

std::string json_report(const Options& options, const Result& result) {
    const Tally& tally = result.tally;
    const double time = seconds(result.elapsed);
    std::string text = "{\n";
    const Out out(text);
    fmt::format_to(out, "  \"url\": \"{}\",\n  \"connections\": {},\n  \"threads\": {},\n",
                   escaped(options.url.text), options.connections, options.threads);
    fmt::format_to(out,
                   "  \"one_shot\": {},\n  \"pipeline\": {},\n  \"rate\": {},\n  \"think\": {},\n",
                   options.one_shot, options.pipeline, options.rate, microseconds(options.think));
    fmt::format_to(out, "  \"seconds\": {:.6f},\n  \"answered\": {},\n  \"failed\": {},\n", time,
                   tally.answered.get(), tally.failed.get());
    fmt::format_to(out, "  \"per_second\": {:.2f},\n  \"bytes_received\": {},\n",
                   double(tally.answered.get()) / time, tally.bytes_received);
    fmt::format_to(out,
                   "  \"client_cpu_seconds\": {:.6f},\n  \"client_cpu_per_request\": {:.4f},\n",
                   seconds(result.client_cpu), per_request(result.client_cpu, tally));
    fmt::format_to(out,
                   "  \"server_cpu_seconds\": {:.6f},\n  \"server_cpu_per_request\": {:.4f},\n",
                   seconds(result.server_cpu), per_request(result.server_cpu, tally));
    fmt::format_to(
        out,
        "  \"connections_opened\": {},\n  \"closes_announced\": {},\n  \"closes_while_idle\": {},\n"
        "  \"resets_while_idle\": {},\n  \"unsolicited\": {},\n  \"never_sent\": {},\n",
        tally.connections_opened, tally.closes_announced, tally.closes_while_idle,
        tally.resets_while_idle, tally.unsolicited, tally.never_sent);
    histogram_json(out, "latency", tally.latency);
    if (options.rate > 0) histogram_json(out, "service_time", tally.service_time);
    failures_json(out, tally);
    fmt::format_to(out, "  \"signals_at_seconds\": [");
    for (std::size_t i = 0; i < result.signals.size(); ++i)
        fmt::format_to(out, "{}{:.3f}", i == 0 ? "" : ", ", seconds(result.signals[i]));
    fmt::format_to(out, "],\n");
    slices_json(out, options, tally);
    return text + "}\n";
}

}  // namespace preforkd::bench
