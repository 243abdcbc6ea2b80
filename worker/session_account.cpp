#include <algorithm>
#include <cstring>

#include "worker/session.hpp"

// What a session leaves in the scoreboard: how many requests, how long each took, and what it is
// busy with, should this process not live to tell.

namespace preforkd::worker {
namespace {

// Kept small, for each idle connection has it: wraps after 73 minutes.
constexpr unsigned unit_shift = 10;

std::uint32_t units_now() noexcept {
    return static_cast<std::uint32_t>(monotonic_nanoseconds() >> unit_shift);
}

constexpr unsigned status_classes = std::tuple_size_v<decltype(SectionCounters::responses)>;

}  // namespace

void Session::count_request(unsigned status_code) {
    const unsigned first_digit = status_code / 100;
    listener_.counters->responses[first_digit < status_classes ? first_digit : 0].add();
    if (unsettled_ < UINT16_MAX) ++unsettled_;
    group().count_request();
}

void Session::note_input(std::string_view bytes) noexcept {
    listener_.counters->received.add(bytes.size());
    if (busy_) return;
    busy_ = true;
    busy_since_ = units_now();
    RequestNote& note = group().note_of(id_);
    if (note.connection.get() != id_) {
        note.in_flight.set(0);
        note.connection.set(id_);
        peer_.render(note.peer.data(), note.peer.size());
    }
    const std::size_t size = std::min(bytes.size(), note.text.size());
    std::memcpy(note.text.data(), bytes.data(), size);
    if (size < note.text.size()) note.text[size] = '\0';
    note.in_flight.set(1);
}

// All that was received is answered, and the answers are with the kernel.
void Session::settle() noexcept {
    if (!busy_) return;
    busy_ = false;
    RequestNote& note = group().note_of(id_);
    if (note.connection.get() == id_) note.in_flight.set(0);
    if (unsettled_ == 0) return;
    const std::uint64_t took = static_cast<std::uint64_t>(units_now() - busy_since_) << unit_shift;
    listener_.counters->durations[DurationBuckets::index_of(took)].add(unsettled_);
    listener_.counters->duration_sum.add(took * unsettled_);
    unsettled_ = 0;
}

}  // namespace preforkd::worker
