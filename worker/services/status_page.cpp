#include "worker/services/status_page.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "shared/snapshot_text.hpp"
#include "worker/services/http_html.hpp"

namespace preforkd::worker {
namespace {

using http::escape_html;
using Row = std::vector<std::string>;

std::string duration_text(std::chrono::duration<double> duration) {
    const auto all = std::max(duration.count(), 0.0);
    if (all < 120) return fmt::format("{:.0f} s", all);
    if (all < 7200) return fmt::format("{:.0f} min", all / 60);
    if (all < 172800) return fmt::format("{:.1f} h", all / 3600);
    return fmt::format("{:.1f} d", all / 86400);
}

std::string latency_text(std::uint64_t nanoseconds) {
    if (nanoseconds == 0) return "–";
    return fmt::format("{:.3g} ms", static_cast<double>(nanoseconds) / 1e6);
}

std::string size_text(std::uint64_t bytes) {
    if (bytes == 0) return "–";
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string time_text(std::int64_t time) {
    return fmt::format("{:%F %T} UTC", fmt::gmtime(static_cast<std::time_t>(time)));
}

/// A table whose body the script replaces by its id.
std::string table(std::string_view id, std::string_view title, const Row& head,
                  const std::vector<Row>& rows) {
    std::string text =
        fmt::format("<section><h2>{}</h2><div class=\"scroll\"><table><thead><tr>", title);
    for (const std::string& cell : head) text += fmt::format("<th>{}</th>", cell);
    text += fmt::format("</tr></thead><tbody id=\"{}\">", id);
    for (const Row& row : rows) {
        text += "<tr>";
        for (const std::string& cell : row) text += fmt::format("<td>{}</td>", escape_html(cell));
        text += "</tr>";
    }
    return text + "</tbody></table></div></section>\n";
}

std::string listeners_table(const Snapshot& snapshot) {
    std::vector<Row> rows;
    for (const ListenerEntry& listener : snapshot.listeners) {
        if (listener.in_service == 0 && listener.totals.active() == 0) continue;
        const SectionTotals& totals = listener.totals;
        rows.push_back({std::string(listener.name.view()), std::string(listener.addresses.view()),
                        std::string(listener.service.view()), fmt::to_string(listener.workers),
                        fmt::to_string(totals.active()), fmt::to_string(totals.requests()), "–",
                        latency_text(totals.percentile(0.5)), latency_text(totals.percentile(0.99)),
                        fmt::to_string(totals.failures + totals.responses[5])});
    }
    return table("listeners", "Listeners",
                 {"Name", "Address", "Service", "Workers", "Active", "Requests", "per s", "p50",
                  "p99", "Errors"},
                 rows);
}

std::string workers_table(const Snapshot& snapshot, TimePoint now) {
    std::vector<Row> rows;
    for (const WorkerView& worker : snapshot.workers) {
        const WorkerEntry& entry = worker.entry;
        std::string state(to_string(entry.state));
        if (entry.deadline != 0)
            state += ", closed in " + duration_text(time_point(entry.deadline) - now);
        rows.push_back({std::string(entry.slot.view()), fmt::to_string(entry.pid),
                        fmt::to_string(entry.generation), std::move(state),
                        fmt::to_string(worker.totals.active()),
                        fmt::to_string(worker.totals.requests()), size_text(worker.memory),
                        duration_text(now - time_point(entry.spawned_at))});
    }
    return table("workers", "Workers",
                 {"Slot", "Pid", "Gen", "State", "Active", "Requests", "Memory", "Up"}, rows);
}

std::string history_table(const MasterFront& front) {
    std::vector<Row> rows;
    for (const Verdict& verdict : verdicts_of(front))
        rows.push_back({time_text(verdict.time), std::string(to_string(verdict.kind)),
                        verdict.accepted != 0 ? "ok" : "refused",
                        fmt::to_string(verdict.generation), std::string(verdict.text.view())});
    return table("history", "Starts, reloads, upgrades", {"When", "What", "Verdict", "Gen", "Why"},
                 rows);
}

std::string exits_table(const MasterFront& front) {
    std::vector<Row> rows;
    for (std::size_t kind = 0; kind < exit_kinds; ++kind)
        rows.push_back({std::string(to_string(static_cast<ExitKind>(kind))),
                        fmt::to_string(front.exits[kind])});
    return table("exits", "Workers that have ended", {"How", "How many"}, rows);
}

std::string card(std::string_view id, std::string_view title, std::string_view value) {
    return fmt::format("<div class=\"card\"><dt>{}</dt><dd id=\"{}\">{}</dd></div>", title, id,
                       value);
}

std::string cards(const Snapshot& snapshot) {
    SectionTotals all;
    for (const ListenerEntry& listener : snapshot.listeners) all.add(listener.totals);
    const auto serving = std::count_if(
        snapshot.workers.begin(), snapshot.workers.end(),
        [](const WorkerView& worker) { return worker.entry.state == PageState::serving; });
    return "<dl class=\"cards\">" +
           card("rate", "<span id=\"rate-title\">Requests so far</span>",
                fmt::to_string(all.requests())) +
           card("p50", "p50", latency_text(all.percentile(0.5))) +
           card("p99", "p99", latency_text(all.percentile(0.99))) +
           card("active", "Connections", fmt::to_string(all.active())) +
           card("serving", "Workers serving", fmt::to_string(serving)) +
           card("generation", "Generation", fmt::to_string(snapshot.front.generation)) + "</dl>\n";
}

std::string plot(std::string_view id, std::string_view title) {
    return fmt::format(
        "<figure><figcaption>{1} <b id=\"{0}-now\"></b></figcaption>"
        "<svg id=\"{0}\" viewBox=\"0 0 600 160\" preserveAspectRatio=\"none\" role=\"img\" "
        "aria-label=\"{1}\"></svg><div class=\"legend\" id=\"{0}-legend\"></div></figure>",
        id, title);
}

}  // namespace

std::string status_page(const Snapshot& snapshot, TimePoint now) {
    const MasterFront& front = snapshot.front;
    const std::string program = escape_html(front.program.view());
    std::string page = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>{0} status</title>\n"
        "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n"
        "<style>{1}</style>\n</head>\n<body>\n"
        "<header><h1>{0} <small>{2}</small></h1>"
        "<p><span id=\"state\" class=\"badge {3}\">{3}</span> pid <span id=\"pid\">{4}</span>, "
        "up <span id=\"uptime\">{5}</span> <span id=\"stale\" role=\"status\"></span></p>"
        "</header>\n<main>\n",
        program, status_page_style(), escape_html(front.program_version.view()),
        to_string(front.state), front.pid, duration_text(now - time_point(front.started_at)));
    page += cards(snapshot);
    page += "<section id=\"plots\" hidden>" + plot("plot-rate", "Requests per second") +
            plot("plot-latency", "Latency") + plot("plot-active", "Connections per worker") +
            plot("plot-memory", "Memory per worker") + "</section>\n";
    page += listeners_table(snapshot) + workers_table(snapshot, now) + history_table(front) +
            exits_table(front);
    page += fmt::format(
        "</main>\n<footer><a href=\"/metrics\">/metrics</a> <a href=\"/status.json\">/status.json"
        "</a> <a href=\"/live\">/live</a> <a href=\"/ready\">/ready</a></footer>\n"
        "<script>{}</script>\n</body>\n</html>\n",
        status_page_script());
    return page;
}

}  // namespace preforkd::worker
