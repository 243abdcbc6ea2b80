#include "bench/load/histogram.hpp"

#include <algorithm>
#include <cmath>

namespace preforkd::bench {

void Histogram::merge(const Histogram& other) {
    std::transform(buckets_.begin(), buckets_.end(), other.buckets_.begin(), buckets_.begin(),
                   std::plus<>());
    count_ += other.count_;
    sum_ += other.sum_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
}

void Histogram::clear() {
    *this = Histogram();
}

std::uint64_t Histogram::middle_of(std::size_t bucket) noexcept {
    if (bucket < exact_below) return bucket;
    const std::size_t above = bucket - exact_below;
    const unsigned shift = unsigned(above >> sub_bits) + 1;
    const std::uint64_t low = ((1U << sub_bits) + (above & ((1U << sub_bits) - 1))) << shift;
    return low + (std::uint64_t(1) << shift) / 2;
}

nanoseconds Histogram::quantile(double fraction) const noexcept {
    if (count_ == 0) return nanoseconds(0);
    const double wanted = std::ceil(std::clamp(fraction, 0.0, 1.0) * double(count_));
    const std::uint64_t rank = std::clamp<std::uint64_t>(std::uint64_t(wanted), 1, count_);
    if (rank == count_) return max();
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    while ((seen += buckets_[bucket]) < rank) ++bucket;
    return nanoseconds(std::int64_t(std::clamp(middle_of(bucket), min_, max_)));
}

nanoseconds Histogram::min() const noexcept {
    return nanoseconds(count_ == 0 ? 0 : std::int64_t(min_));
}

nanoseconds Histogram::max() const noexcept {
    return nanoseconds(std::int64_t(max_));
}

nanoseconds Histogram::mean() const noexcept {
    return nanoseconds(count_ == 0 ? 0 : std::int64_t(sum_ / double(count_)));
}

}  // namespace preforkd::bench
