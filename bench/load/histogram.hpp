#pragma once

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace preforkd::bench {

using std::chrono::nanoseconds;

/// Counts durations in log-linear buckets: exact below 256 ns, above that 128 buckets to each power
/// of two, so that every quantile is within 0.4 % of the true value. Range: 0 to 2^63 ns; negative
/// durations count as 0. Not for use by two threads at once; each fills its own and they are
/// merged. Method: HdrHistogram (Tene), with the sub-bucket count fixed.
class Histogram {
  public:
    void record(nanoseconds duration) noexcept {
        const std::uint64_t value = duration.count() < 0 ? 0 : std::uint64_t(duration.count());
        ++buckets_[bucket_of(value)];
        ++count_;
        sum_ += double(value);
        if (value < min_) min_ = value;
        if (value > max_) max_ = value;
    }

    void merge(const Histogram& other);
    void clear();

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

    /// The smallest recorded duration that at least `fraction` of all do not exceed, within 0.4 %;
    /// 0 when nothing was recorded. Range of `fraction`: [0, 1]; 1 gives the exact maximum.
    [[nodiscard]] nanoseconds quantile(double fraction) const noexcept;

    [[nodiscard]] nanoseconds min() const noexcept;   ///< exact; 0 when empty
    [[nodiscard]] nanoseconds max() const noexcept;   ///< exact; 0 when empty
    [[nodiscard]] nanoseconds mean() const noexcept;  ///< exact to a nanosecond; 0 when empty

  private:
    static constexpr unsigned sub_bits = 7;
    static constexpr std::uint64_t exact_below = 1U << (sub_bits + 1);
    static constexpr std::size_t bucket_total = exact_below + ((63 - sub_bits) << sub_bits);

    static std::size_t bucket_of(std::uint64_t value) noexcept {
        if (value < exact_below) return value;
        const unsigned shift = unsigned(std::bit_width(value)) - sub_bits - 1;
        return exact_below + ((shift - 1) << sub_bits) +
               ((value >> shift) & ((1U << sub_bits) - 1));
    }
    static std::uint64_t middle_of(std::size_t bucket) noexcept;

    std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(bucket_total);
    std::uint64_t count_ = 0;
    std::uint64_t min_ = UINT64_MAX;
    std::uint64_t max_ = 0;
    double sum_ = 0;
};

}  // namespace preforkd::bench
