#include "shared/scoreboard_reader.hpp"

#include <sched.h>

#include <algorithm>

namespace preforkd {
namespace {

// A change is a few microseconds of copying; a master that is stopped in one stays in it.
constexpr int most_attempts = 1000;
constexpr int attempts_to_find_pages = 20;

error_code failure(int number) noexcept {
    return {number, boost::system::system_category()};
}

std::chrono::nanoseconds lifetime_of(const WorkerEntry& entry) noexcept {
    return Clock::now().time_since_epoch() - std::chrono::nanoseconds(entry.spawned_at);
}

}  // namespace

Result<ScoreboardReader> ScoreboardReader::open(const UniqueFd& master_page, FindPage find_page) {
    ScoreboardReader reader;
    reader.find_page_ = std::move(find_page);
    if (const error_code error = reader.replace_master_page(master_page)) return error;
    return reader;
}

error_code ScoreboardReader::replace_master_page(const UniqueFd& page) {
    auto mapping = Mapping::read_only(page);
    if (!mapping) return mapping.error();
    const auto* const master = mapping->as<MasterPage>();
    if (master == nullptr || master->version != scoreboard_version ||
        master->size != sizeof(MasterPage))
        return failure(EPROTO);
    master_ = std::move(*mapping);
    return {};
}

error_code ScoreboardReader::add_page(std::uint32_t number, const UniqueFd& page) {
    auto mapping = Mapping::read_only(page);
    if (!mapping) return mapping.error();
    if (mapping->size() < sizeof(WorkerPage)) return failure(EPROTO);
    pages_.insert_or_assign(number, std::move(*mapping));
    return {};
}

Result<Snapshot> ScoreboardReader::read() {
    Snapshot snapshot;
    for (int attempt = 0; attempt < attempts_to_find_pages; ++attempt) {
        if (!copy_tables(snapshot)) return failure(EAGAIN);
        // A page that can't be had belongs to a worker that was folded meanwhile: look again.
        if (has_every_page(snapshot)) break;
    }
    add_up(snapshot);
    std::erase_if(pages_, [&](const auto& known) {
        return std::none_of(
            snapshot.workers.begin(), snapshot.workers.end(),
            [&](const WorkerView& worker) { return worker.entry.page == known.first; });
    });
    return snapshot;
}

bool ScoreboardReader::copy_tables(Snapshot& snapshot) const {
    const auto& master = *master_.as<MasterPage>();
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        const std::uint64_t before = master.changes.load(std::memory_order_acquire);
        if (before % 2 == 0) {
            copy_words(&snapshot.front, &master.front, sizeof master.front);
            const std::size_t listeners =
                std::min<std::size_t>(snapshot.front.listeners, MasterPage::most_listeners);
            const std::size_t workers =
                std::min<std::size_t>(snapshot.front.workers, MasterPage::most_workers);
            snapshot.listeners.resize(listeners);
            snapshot.workers.resize(workers);
            for (std::size_t i = 0; i < listeners; ++i)
                copy_words(&snapshot.listeners[i], &master.listeners[i], sizeof(ListenerEntry));
            for (std::size_t i = 0; i < workers; ++i)
                copy_words(&snapshot.workers[i].entry, &master.workers[i], sizeof(WorkerEntry));
            std::atomic_thread_fence(std::memory_order_acquire);
            if (master.changes.load(std::memory_order_relaxed) == before) return true;
        }
        ::sched_yield();
    }
    return false;
}

const WorkerPage* ScoreboardReader::page_of(const WorkerEntry& entry) {
    if (entry.page == 0) return nullptr;
    if (const auto found = pages_.find(entry.page); found != pages_.end())
        return found->second.as<WorkerPage>();
    if (!find_page_) return nullptr;
    const UniqueFd page = find_page_(entry);
    // It may have been added while it was looked for.
    if (page.is_open() && add_page(entry.page, page)) return nullptr;
    const auto found = pages_.find(entry.page);
    return found == pages_.end() ? nullptr : found->second.as<WorkerPage>();
}

bool ScoreboardReader::has_every_page(const Snapshot& snapshot) {
    return std::all_of(snapshot.workers.begin(), snapshot.workers.end(),
                       [&](const WorkerView& worker) {
                           return worker.entry.page == 0 || page_of(worker.entry) != nullptr;
                       });
}

void ScoreboardReader::add_up(Snapshot& snapshot) {
    for (WorkerView& worker : snapshot.workers) {
        const WorkerPage* const page = page_of(worker.entry);
        if (page == nullptr) continue;
        worker.memory = page->memory.get();
        worker.cpu = page->cpu.get();
        worker.log_lines_dropped = page->log_lines_dropped.get();
        const auto sections = sections_of(*page, pages_.at(worker.entry.page).size());
        for (std::size_t i = 0; i < sections.size(); ++i) {
            SectionTotals totals;
            totals.add(sections[i], lifetime_of(worker.entry));
            worker.totals.add(totals);
            const std::size_t listener = worker.entry.listener_of_section[i];
            if (listener < snapshot.listeners.size())
                snapshot.listeners[listener].totals.add(totals);
        }
    }
}

}  // namespace preforkd
