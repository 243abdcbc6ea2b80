#include "master/scoreboard.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <system_error>

#include "shared/syscalls.hpp"
#include "shared/version.hpp"

namespace preforkd::master {
namespace {

template <class T>
T value_or_throw(Result<T> result, const char* what) {
    if (!result) throw std::system_error(result.error(), what);
    return std::move(*result);
}

std::int64_t nanoseconds_of(TimePoint time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

PageState page_state_of(const Worker& worker) {
    if (worker.stale_since) return PageState::hung;
    switch (worker.state) {
        case WorkerState::serving:
        case WorkerState::retiring:
            return PageState::serving;
        case WorkerState::draining:
            return PageState::draining;
        case WorkerState::killed:
        case WorkerState::gone:
            return PageState::ending;
        default:
            return PageState::starting;
    }
}

template <class T>
std::string bytes_of(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

/// Nothing when they are not whole.
template <class T>
std::vector<T> values_of(std::string_view bytes) {
    if (bytes.empty() || bytes.size() % sizeof(T) != 0) return {};
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

void describe_metrics(ListenerEntry& entry, const std::vector<Metric>& metrics) {
    entry.metrics = {};
    for (std::size_t i = 0; i < std::min(metrics.size(), most_metrics); ++i) {
        MetricEntry& described = entry.metrics[i];
        described.kind = metrics[i].kind == Metric::Kind::counter ? MetricEntry::Kind::counter
                                                                  : MetricEntry::Kind::gauge;
        described.name = metrics[i].name;
        described.doc = metrics[i].doc;
    }
}

std::uint32_t gauges_of(const ListenerEntry& entry) {
    std::uint32_t gauges = 0;
    for (std::size_t i = 0; i < most_metrics; ++i)
        if (entry.metrics[i].kind == MetricEntry::Kind::gauge) gauges |= 1U << i;
    return gauges;
}

// Nobody here knows what the bytes mean; a log must be able to hold them.
std::string printable(const char* bytes, std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size && bytes[i] != '\0'; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        if (byte >= 0x20 && byte <= 0x7e)
            text += static_cast<char>(byte);
        else
            text += fmt::format("%{:02x}", byte);
    }
    return text;
}

}  // namespace

SavedScoreboard save(const ScoreboardState& state) {
    return {scoreboard_version, bytes_of(std::span(&state.front, 1)),
            bytes_of(std::span(state.listeners)), bytes_of(std::span(state.workers)),
            state.last_page};
}

ScoreboardState restore_scoreboard(const SavedScoreboard& saved) {
    ScoreboardState state;
    state.last_page = saved.last_page;
    const auto front = values_of<MasterFront>(saved.front);
    if (saved.version != scoreboard_version || front.size() != 1 ||
        saved.listeners.size() > MasterPage::most_listeners * sizeof(ListenerEntry))
        return state;
    state.front = front.front();
    state.listeners = values_of<ListenerEntry>(saved.listeners);
    state.workers = values_of<WorkerEntry>(saved.workers);
    return state;
}

Scoreboard::Scoreboard(std::string_view program, std::string_view version)
    : memory_(value_or_throw(fixed_memory(master_page_name, sizeof(MasterPage)), "scoreboard")),
      mapping_(value_or_throw(Mapping::writable(memory_), "scoreboard")) {
    if (const error_code error = seal_against_new_writers(memory_))
        throw std::system_error(error, "scoreboard");
    auto& page = *mapping_.as<MasterPage>();
    page.version = scoreboard_version;
    page.size = sizeof(MasterPage);
    front_.program = program;
    front_.program_version = version;
    front_.pid = ::getpid();
    front_.started_at = nanoseconds_of(Clock::now());
    front_.started_time = std::time(nullptr);
    write();
}

void Scoreboard::restore(const ScoreboardState& state) {
    if (state.front.pid == front_.pid) {
        const auto version = front_.program_version;
        front_ = state.front;
        front_.program_version = version;
    }
    listeners_ = state.listeners;
    workers_ = state.workers;
    last_page_ = state.last_page;
    write();
}

/// The listener of that name, which may be of an earlier configuration. When there is room for no
/// other, one that is no longer in service gives way, and if there is none, the last is shared.
std::uint8_t Scoreboard::listener_number(std::string_view name) {
    const auto number = [this](auto found) {
        return static_cast<std::uint8_t>(found - listeners_.begin());
    };
    const auto known = std::find_if(listeners_.begin(), listeners_.end(),
                                    [&](const auto& entry) { return entry.name.view() == name; });
    if (known != listeners_.end()) return number(known);
    if (listeners_.size() < MasterPage::most_listeners) {
        listeners_.emplace_back().name = name;
        return static_cast<std::uint8_t>(listeners_.size() - 1);
    }
    const auto unused = std::find_if(listeners_.begin(), listeners_.end(),
                                     [](const auto& entry) { return entry.in_service == 0; });
    if (unused == listeners_.end()) return MasterPage::most_listeners - 1;
    *unused = {};
    unused->name = name;
    return number(unused);
}

void Scoreboard::take_into_service(
    const Config& config, const std::vector<ServiceSpec>& services,
    const std::vector<std::pair<std::string, std::string>>& addresses) {
    for (ListenerEntry& entry : listeners_) entry.in_service = 0;
    for (const ListenSection& section : config.listeners) {
        ListenerEntry& entry = listeners_[listener_number(section.name)];
        entry.in_service = 1;
        entry.service = section.service;
        entry.pool = section.workers ? section.name : std::string(shared_pool);
        std::string joined;
        for (const auto& [name, address] : addresses)
            if (name == section.name) joined += (joined.empty() ? "" : " ") + address;
        entry.addresses = joined;
        const auto service = std::find_if(
            services.begin(), services.end(),
            [&](const ServiceSpec& candidate) { return candidate.name == section.service; });
        if (service != services.end()) describe_metrics(entry, service->metrics);
    }
}

Result<PageOfWorker> Scoreboard::make_page(std::size_t sections) {
    PageOfWorker page;
    sections = std::clamp<std::size_t>(sections, 1, WorkerPage::most_sections);
    auto memory = fixed_memory(worker_page_name, worker_page_size(sections));
    if (!memory) return memory.error();
    // What the master itself writes, before anybody else has it: the counters begin at 0.
    const std::uint32_t head[2] = {scoreboard_version, static_cast<std::uint32_t>(sections)};
    if (::pwrite(memory->get(), head, sizeof head, 0) != sizeof head) return last_error();
    auto mapping = Mapping::read_only(*memory);
    if (!mapping) return mapping.error();
    page.number = ++last_page_;
    page.memory = std::move(*memory);
    page.mapping = std::move(*mapping);
    return page;
}

void Scoreboard::add(const WorkerEntry& worker, std::span<const std::string> sections) {
    WorkerEntry& added = workers_.emplace_back(worker);
    for (std::size_t i = 0; i < std::min(sections.size(), added.listener_of_section.size()); ++i)
        added.listener_of_section[i] = listener_number(sections[i]);
}

WorkerEntry* Scoreboard::find(std::int32_t pid) {
    const auto found = std::find_if(workers_.begin(), workers_.end(),
                                    [pid](const auto& worker) { return worker.pid == pid; });
    return found == workers_.end() ? nullptr : &*found;
}

void Scoreboard::count(std::int32_t pid, const PageOfWorker& page) {
    WorkerEntry* const worker = find(pid);
    if (worker == nullptr) return;
    worker->page = page.number;
    worker->descriptor = page.memory.get();
}

void Scoreboard::fold(std::int32_t pid, const PageOfWorker& page, ExitKind how) {
    ++front_.exits[static_cast<std::size_t>(how)];
    const WorkerEntry* const worker = find(pid);
    if (worker == nullptr) return;
    const std::chrono::nanoseconds lifetime(nanoseconds_of(Clock::now()) - worker->spawned_at);
    const auto* const memory = page.mapping.as<WorkerPage>();
    if (memory != nullptr && worker->page != 0) {
        const auto sections = sections_of(*memory, page.mapping.size());
        for (std::size_t i = 0; i < sections.size(); ++i) {
            ListenerEntry& listener = listeners_[worker->listener_of_section[i]];
            SectionTotals left;
            left.add(sections[i], lifetime);
            left.end_life(gauges_of(listener));
            listener.totals.add(left);
        }
    }
    std::erase_if(workers_, [pid](const auto& entry) { return entry.pid == pid; });
}

void Scoreboard::record(Verdict verdict) {
    verdict.number = ++front_.last_verdict;
    verdict.time = std::time(nullptr);
    front_.verdicts[verdict.number % front_.verdicts.size()] = verdict;
}

void Scoreboard::publish(ServerState state, Generation generation,
                         const std::deque<Worker>& workers) {
    front_.state = state;
    front_.generation = generation.value;
    for (WorkerEntry& entry : workers_) {
        const auto known = std::find_if(workers.begin(), workers.end(), [&](const Worker& worker) {
            return worker.pid.value == entry.pid;
        });
        if (known == workers.end()) continue;
        entry.state = page_state_of(*known);
        entry.deadline = known->state == WorkerState::draining && known->deadline
                             ? nanoseconds_of(*known->deadline)
                             : 0;
    }
    count_serving_workers();
    write();
}

void Scoreboard::count_serving_workers() {
    for (ListenerEntry& listener : listeners_) listener.workers = 0;
    for (const WorkerEntry& worker : workers_) {
        if (worker.state != PageState::serving) continue;
        const std::string_view slot = worker.slot.view();
        const std::string_view pool = slot.substr(0, slot.rfind('/'));
        for (ListenerEntry& listener : listeners_)
            if (listener.in_service != 0 && listener.pool.view() == pool) ++listener.workers;
    }
}

void Scoreboard::write() {
    auto& page = *mapping_.as<MasterPage>();
    const std::size_t workers = std::min(workers_.size(), MasterPage::most_workers);
    front_.listeners = static_cast<std::uint32_t>(listeners_.size());
    front_.workers = static_cast<std::uint32_t>(workers);
    const std::uint64_t before = page.changes.load(std::memory_order_relaxed);
    page.changes.store(before + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    copy_words(&page.front, &front_, sizeof front_);
    copy_words(page.listeners.data(), listeners_.data(), listeners_.size() * sizeof(ListenerEntry));
    copy_words(page.workers.data(), workers_.data(), workers * sizeof(WorkerEntry));
    page.changes.store(before + 2, std::memory_order_release);
}

std::vector<std::string> requests_in_flight(const PageOfWorker& page, std::size_t limit) {
    std::vector<std::string> found;
    const auto* const memory = page.mapping.as<WorkerPage>();
    if (memory == nullptr) return found;
    for (const RequestNote& note : memory->notes) {
        if (found.size() == limit) break;
        if (note.in_flight.get() == 0 || note.connection.get() == 0) continue;
        found.push_back(printable(note.peer.data(), note.peer.size()) + ": " +
                        printable(note.text.data(), note.text.size()));
    }
    return found;
}

}  // namespace preforkd::master
