#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

// How a message lies in storage: a checksum of four bytes, then `poster/message`. LMDB has no
// checksums of its own and hands out flipped bytes as good data.

namespace preforkd::worker::board {

/// What a record is longer than its text. Unit: bytes.
inline constexpr std::size_t record_overhead = 4;

/// Writes the record of message `number` to `out`, which has room for record_overhead + text.size()
/// bytes. `text` is `poster/message`.
void encode_record(std::uint64_t number, std::string_view text, char* out) noexcept;

/// The text within the record of message `number`. None: it is not what was written under this
/// number.
[[nodiscard]] std::optional<std::string_view> decode_record(std::uint64_t number,
                                                            std::string_view record) noexcept;

/// CRC-32C of the number's eight bytes, the lowest first, and the text; by the processor's own
/// instruction where there is one. The number is in it so that a good record in a wrong place is
/// found out. Source: RFC 3720, appendix B.4.
[[nodiscard]] std::uint32_t record_checksum(std::uint64_t number, std::string_view text) noexcept;

/// The same by table, for processors without the instruction.
[[nodiscard]] std::uint32_t record_checksum_by_table(std::uint64_t number,
                                                     std::string_view text) noexcept;

}  // namespace preforkd::worker::board
