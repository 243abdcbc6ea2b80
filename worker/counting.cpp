#include "worker/counting.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace preforkd::worker {

OwnPage::OwnPage()
    : private_(std::make_unique<std::byte[]>(worker_page_size(1))), size_(worker_page_size(1)) {
    page_ = new (private_.get()) WorkerPage{};
    page_->sections = 1;
    new (page_ + 1) SectionCounters{};
}

OwnPage::OwnPage(Mapping mapping) : mapping_(std::move(mapping)), size_(mapping_.size()) {
    page_ = mapping_.as<WorkerPage>();
    if (page_ == nullptr || sections_of(*page_, size_).empty()) *this = OwnPage();
}

SectionCounters& OwnPage::section(std::size_t index) noexcept {
    const auto sections = sections_of(*page_, size_);
    return sections[std::min(index, sections.size() - 1)];
}

std::uint64_t monotonic_nanoseconds() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

OwnUsage::OwnUsage()
    : statm_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
      page_size_(static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))) {}

// The second number is the resident pages. Source: proc(5), /proc/pid/statm.
std::uint64_t OwnUsage::memory() const noexcept {
    char text[128] = {};
    if (::pread(statm_.get(), text, sizeof text - 1, 0) <= 0) return 0;
    char* rest = text;
    (void)std::strtoull(text, &rest, 10);
    return std::strtoull(rest, nullptr, 10) * page_size_;
}

std::uint64_t OwnUsage::cpu() noexcept {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto of = [](const timeval& time) {
        return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
               static_cast<std::uint64_t>(time.tv_usec) * 1000;
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

}  // namespace preforkd::worker
