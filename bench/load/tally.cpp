#include "bench/load/tally.hpp"

#include <algorithm>

namespace preforkd::bench {

void Tally::restart(TimePoint start, nanoseconds slice) {
    *this = Tally();
    slice_length_ = slice;
    slice_end_ = start + slice;
}

void Tally::open_slice(TimePoint at) {
    const auto more = std::size_t((at - slice_end_) / slice_length_) + 1;
    slices_.resize(slices_.size() + more);
    slice_end_ += slice_length_ * std::int64_t(more);
}

void Tally::add_failure(TimePoint at, Failure failure, Carrier carrier) {
    failed.add(1);
    ++failures_[std::size_t(failure)][std::size_t(carrier)];
    ++slice_at(at).failed[std::size_t(failure)];
}

std::uint64_t Tally::failures(Failure failure) const noexcept {
    return failures(failure, Carrier::fresh_connection) +
           failures(failure, Carrier::reused_connection);
}

void Tally::merge(const Tally& other) {
    answered.add(other.answered.get());
    failed.add(other.failed.get());
    bytes_received += other.bytes_received;
    connections_opened += other.connections_opened;
    closes_announced += other.closes_announced;
    closes_while_idle += other.closes_while_idle;
    resets_while_idle += other.resets_while_idle;
    unsolicited += other.unsolicited;
    never_sent += other.never_sent;
    latency.merge(other.latency);
    service_time.merge(other.service_time);
    for (std::size_t kind = 0; kind < failure_kinds; ++kind)
        for (std::size_t carrier = 0; carrier < 2; ++carrier)
            failures_[kind][carrier] += other.failures_[kind][carrier];
    slices_.resize(std::max(slices_.size(), other.slices_.size()));
    for (std::size_t i = 0; i < other.slices_.size(); ++i) {
        slices_[i].answered += other.slices_[i].answered;
        slices_[i].slowest = std::max(slices_[i].slowest, other.slices_[i].slowest);
        for (std::size_t kind = 0; kind < failure_kinds; ++kind)
            slices_[i].failed[kind] += other.slices_[i].failed[kind];
    }
}

}  // namespace preforkd::bench
