#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace preforkd::worker::http {

/// Bytes `first` to `last`, both included.
struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0;

    [[nodiscard]] std::uint64_t length() const noexcept { return last - first + 1; }
    bool operator==(const ByteRange&) const = default;
};

/// The ranges to send, in the order in which they were asked for.
struct RangeSet {
    static constexpr std::size_t capacity = 16;
    std::array<ByteRange, capacity> ranges;
    std::size_t count = 0;

    [[nodiscard]] std::span<const ByteRange> view() const noexcept {
        return {ranges.data(), count};
    }
};

enum class RangeVerdict : std::uint8_t {
    whole,          ///< 200: no byte range, malformed, or costing more than the whole
    partial,        ///< 206
    unsatisfiable,  ///< 416
};

/// Reads a Range field for a file of `size` bytes. More than 16 ranges, or more bytes than the file
/// has (so ranges that overlap much), get the whole file, so that no response is longer than
/// that by more than 16 part heads. Source: RFC 9110 §14.1.2, §14.2, §17.15.
[[nodiscard]] RangeVerdict read_ranges(std::string_view field, std::uint64_t size,
                                       RangeSet& set) noexcept;

/// "bytes 0-499/1234". Source: RFC 9110 §14.4.
[[nodiscard]] std::string content_range(const ByteRange& range, std::uint64_t size);

/// The pieces of a multipart/byteranges body. Source: RFC 9110 §14.6, RFC 2046 §5.1.
class Multipart {
  public:
    /// `type` is the Content-Type of the whole; `boundary` must not occur in it.
    Multipart(std::string_view type, std::string_view boundary, std::uint64_t size,
              const RangeSet& set);

    /// What comes before the bytes of each range, with the line end that closes the one before.
    [[nodiscard]] const std::string& part_head(std::size_t index) const { return heads_[index]; }
    /// What comes after the last.
    [[nodiscard]] const std::string& closing() const { return closing_; }
    [[nodiscard]] std::uint64_t content_length() const { return content_length_; }

  private:
    std::array<std::string, RangeSet::capacity> heads_;
    std::string closing_;
    std::uint64_t content_length_ = 0;
};

}  // namespace preforkd::worker::http
