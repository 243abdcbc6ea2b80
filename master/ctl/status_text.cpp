#include "master/ctl/status_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "shared/snapshot_text.hpp"

namespace preforkd::ctl {
namespace {

/// Rows of words, each column as wide as its longest word.
class Table {
  public:
    using Row = std::vector<std::string>;

    /// `aligned`: one letter for each column: l or r.
    explicit Table(std::string aligned, Row head) : aligned_(std::move(aligned)) {
        rows_.push_back(std::move(head));
    }
    void add(Row row) { rows_.push_back(std::move(row)); }

    [[nodiscard]] std::string render() const {
        std::vector<std::size_t> widths(aligned_.size());
        for (const Row& row : rows_)
            for (std::size_t i = 0; i < row.size(); ++i)
                widths[i] = std::max(widths[i], row[i].size());
        std::string text;
        for (const Row& row : rows_) {
            std::string line;
            for (std::size_t i = 0; i < row.size(); ++i) {
                if (i > 0) line += "  ";
                line += aligned_[i] == 'r' ? fmt::format("{:>{}}", row[i], widths[i])
                                           : fmt::format("{:<{}}", row[i], widths[i]);
            }
            line.erase(line.find_last_not_of(' ') + 1);
            text += line + "\n";
        }
        return text;
    }

  private:
    std::string aligned_;
    std::vector<Row> rows_;
};

double per_second(std::uint64_t count, std::chrono::nanoseconds duration) {
    const double length = std::chrono::duration<double>(duration).count();
    return length > 0 ? static_cast<double>(count) / length : 0;
}

std::string rate_text(double rate) {
    if (rate == 0) return "0";
    return rate < 10 ? fmt::format("{:.1f}", rate) : fmt::format("{:.0f}", rate);
}

/// Of the same listener as it was read before; nothing when it was not there.
SectionTotals totals_before(const Snapshot& before, const ListenerEntry& listener) {
    for (const ListenerEntry& known : before.listeners)
        if (known.name.view() == listener.name.view()) return known.totals;
    return {};
}

std::string head_line(const Readings& readings) {
    const MasterFront& front = readings.now.front;
    const auto uptime =
        std::chrono::duration_cast<seconds>(readings.moment - time_point(front.started_at));
    std::string line =
        fmt::format("{} {}  {}, pid {}, up {}, generation {}\n", front.program.view(),
                    front.program_version.view(), to_string(front.state), front.pid,
                    duration_text(uptime), front.generation);
    for (const Verdict& verdict : verdicts_of(front)) {
        line += fmt::format("last {}: {}, {} ago", to_string(verdict.kind),
                            verdict.accepted != 0 ? "ok" : "refused",
                            duration_text(seconds(readings.time - verdict.time)));
        if (verdict.accepted == 0) line += fmt::format("\n    {}", verdict.text.view());
        return line + "\n";
    }
    return line;
}

std::string listener_table(const Readings& readings) {
    Table table("lllrrrrrr", {"LISTENER", "ADDRESS", "SERVICE", "WORKERS", "ACTIVE", "REQ/S", "P50",
                              "P99", "ERR/S"});
    for (const ListenerEntry& listener : readings.now.listeners) {
        if (listener.in_service == 0 && listener.totals.active() == 0) continue;
        const SectionTotals recent =
            difference(listener.totals, totals_before(readings.before, listener));
        table.add({std::string(listener.name.view()),
                   std::string(listener.in_service != 0 ? listener.addresses.view() : "(leaving)"),
                   std::string(listener.service.view()), fmt::to_string(listener.workers),
                   fmt::to_string(listener.totals.active()),
                   rate_text(per_second(recent.requests(), readings.between)),
                   latency_text(recent.percentile(0.5)), latency_text(recent.percentile(0.99)),
                   rate_text(per_second(recent.failures + recent.responses[5], readings.between))});
    }
    return table.render();
}

/// What services count themselves; empty when none does.
std::string own_table(const Readings& readings) {
    Table table("llr", {"LISTENER", "COUNTED", "VALUE"});
    bool is_empty = true;
    for (const ListenerEntry& listener : readings.now.listeners)
        for (std::size_t i = 0; i < listener.metrics.size(); ++i) {
            if (listener.metrics[i].kind == MetricEntry::Kind::none) continue;
            is_empty = false;
            table.add({std::string(listener.name.view()),
                       std::string(listener.metrics[i].name.view()),
                       fmt::to_string(listener.totals.metrics[i])});
        }
    return is_empty ? "" : table.render() + "\n";
}

/// What keeps a worker that is told to go, and until when it may stay.
std::string what_keeps(const WorkerView& worker, TimePoint now) {
    if (worker.entry.state != PageState::draining) return {};
    const std::uint64_t open = worker.totals.active();
    std::string text = open == 0 ? "about to end"
                                 : fmt::format("{} connection{} left", open, open == 1 ? "" : "s");
    if (worker.entry.deadline != 0) {
        const auto left =
            std::chrono::ceil<seconds>(time_point(worker.entry.deadline) - now).count();
        text += fmt::format(", closed in {} s", std::max<std::int64_t>(left, 0));
    }
    return text;
}

std::string cpu_text(const Readings& readings, const WorkerView& worker) {
    for (const WorkerView& before : readings.before.workers) {
        if (before.entry.pid != worker.entry.pid || before.entry.page != worker.entry.page)
            continue;
        const std::uint64_t used = worker.cpu > before.cpu ? worker.cpu - before.cpu : 0;
        return fmt::format("{:.0f}", per_second(used, readings.between) / 1e7);
    }
    return "-";
}

std::string worker_table(const Readings& readings) {
    Table table("lrrlrrrrl", {"WORKER", "PID", "GEN", "STATE", "CONNS", "CPU%", "RSS", "UP", ""});
    for (const WorkerView& worker : readings.now.workers) {
        const auto age = std::chrono::duration_cast<seconds>(readings.moment -
                                                             time_point(worker.entry.spawned_at));
        table.add(
            {std::string(worker.entry.slot.view()), fmt::to_string(worker.entry.pid),
             fmt::to_string(worker.entry.generation), std::string(to_string(worker.entry.state)),
             fmt::to_string(worker.totals.active()), cpu_text(readings, worker),
             size_text(worker.memory), duration_text(age), what_keeps(worker, readings.moment)});
    }
    return table.render();
}

std::string exits_line(const MasterFront& front) {
    std::string line;
    for (std::size_t kind = 0; kind < exit_kinds; ++kind) {
        if (front.exits[kind] == 0) continue;
        line += fmt::format("{}{} {}", line.empty() ? "" : ", ", front.exits[kind],
                            to_string(static_cast<ExitKind>(kind)));
    }
    return fmt::format("worker exits: {}\n", line.empty() ? "none" : line);
}

}  // namespace

std::string status_text(const Readings& readings) {
    return head_line(readings) + "\n" + listener_table(readings) + "\n" + own_table(readings) +
           worker_table(readings) + "\n" + exits_line(readings.now.front);
}

std::string duration_text(seconds duration) {
    const std::int64_t all = std::max<std::int64_t>(duration.count(), 0);
    const std::int64_t days = all / 86400, hours = all / 3600 % 24, minutes = all / 60 % 60;
    if (days > 0) return fmt::format("{}d {:02}h", days, hours);
    if (hours > 0) return fmt::format("{}h {:02}m", hours, minutes);
    if (minutes > 0) return fmt::format("{}m {:02}s", minutes, all % 60);
    return fmt::format("{} s", all);
}

std::string size_text(std::uint64_t bytes) {
    constexpr std::array units{"", "K", "M", "G", "T"};
    auto number = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; number >= 1024 && unit + 1 < units.size(); ++unit) number /= 1024;
    if (unit == 0) return fmt::to_string(bytes);
    return number < 10 ? fmt::format("{:.1f}{}", number, units[unit])
                       : fmt::format("{:.0f}{}", number, units[unit]);
}

std::string latency_text(std::uint64_t nanoseconds) {
    const auto number = static_cast<double>(nanoseconds);
    if (nanoseconds == 0) return "-";
    if (number < 1e6) return fmt::format("{:.0f}us", number / 1e3);
    if (number < 1e9) return fmt::format("{:.1f}ms", number / 1e6);
    return fmt::format("{:.2f}s", number / 1e9);
}

std::string on_screen(std::string_view text, std::size_t rows) {
    // No wrapping, from the top; each line clears its rest, the last all below it.
    std::string screen = "\x1b[?7l\x1b[H";
    const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    const std::size_t room =
        rows < 2 || lines < rows ? lines : rows - 2;  // the cursor has the last
    for (std::size_t line = 0; line < room; ++line) {
        const std::size_t end = text.find('\n');
        (screen += text.substr(0, end)) += "\x1b[K\n";
        text.remove_prefix(end + 1);
    }
    if (room < lines) screen += fmt::format("({} more lines)\x1b[K\n", lines - room);
    return screen + "\x1b[J\x1b[?7h";
}

}  // namespace preforkd::ctl
