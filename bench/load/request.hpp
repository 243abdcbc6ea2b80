#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd::bench {

/// A fast source of numbers for choosing what to ask for; not for secrets. Method: xorshift64*.
class Random {
  public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed * 0x9E3779B97F4A7C15U | 1U) {}

    /// Evenly spread over [1, limit]. Requires: limit >= 1.
    std::uint64_t up_to(std::uint64_t limit) noexcept {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        const std::uint64_t high = (state_ * 0x2545F4914F6CDD1DU) >> 32;
        return 1 + ((high * limit) >> 32);
    }

  private:
    std::uint64_t state_;
};

/// The bytes of a request, in which each `{n}` becomes one number, chosen anew for every request.
class RequestTemplate {
  public:
    RequestTemplate() = default;

    /// `digits`: numbers are padded with zeros to this width; 0 = not padded.
    /// `numbers`: {n} is chosen from [1, numbers], at most 2^32.
    RequestTemplate(std::string_view text, std::uint64_t numbers, unsigned digits = 0);

    [[nodiscard]] bool varies() const noexcept { return pieces_.size() > 1; }

    /// Appends one request to `out` and gives the number in it, 0 when it has none.
    std::uint64_t append_to(std::string& out, Random& random) const;

    /// The request of a template that does not vary, `times` in a row.
    [[nodiscard]] std::string repeated(unsigned times) const;

  private:
    std::vector<std::string> pieces_ = {""};
    std::uint64_t numbers_ = 1;
    unsigned digits_ = 0;
};

}  // namespace preforkd::bench
