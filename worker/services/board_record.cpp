#include "worker/services/board_record.hpp"

#include <boost/crc.hpp>
#include <boost/endian/conversion.hpp>
#include <cstring>
#ifdef __x86_64__
#include <nmmintrin.h>
#endif

namespace preforkd::worker::board {
namespace {

#ifdef __x86_64__
__attribute__((target("sse4.2"))) std::uint32_t checksum_by_instruction(
    std::uint64_t number, std::string_view text) noexcept {
    std::uint64_t state = _mm_crc32_u64(0xffffffff, number);
    std::uint64_t word = 0;
    for (; text.size() >= sizeof word; text.remove_prefix(sizeof word)) {
        std::memcpy(&word, text.data(), sizeof word);
        state = _mm_crc32_u64(state, word);
    }
    auto rest = static_cast<std::uint32_t>(state);
    for (const char byte : text) rest = _mm_crc32_u8(rest, static_cast<unsigned char>(byte));
    return ~rest;
}
#endif

}  // namespace

void encode_record(std::uint64_t number, std::string_view text, char* out) noexcept {
    const auto sum = boost::endian::native_to_little(record_checksum(number, text));
    std::memcpy(out, &sum, record_overhead);
    std::memcpy(out + record_overhead, text.data(), text.size());
}

std::optional<std::string_view> decode_record(std::uint64_t number,
                                              std::string_view record) noexcept {
    if (record.size() < record_overhead) return std::nullopt;
    std::uint32_t sum = 0;
    std::memcpy(&sum, record.data(), record_overhead);
    const auto text = record.substr(record_overhead);
    if (boost::endian::little_to_native(sum) != record_checksum(number, text)) return std::nullopt;
    return text;
}

std::uint32_t record_checksum(std::uint64_t number, std::string_view text) noexcept {
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2")) return checksum_by_instruction(number, text);
#endif
    return record_checksum_by_table(number, text);
}

std::uint32_t record_checksum_by_table(std::uint64_t number, std::string_view text) noexcept {
    boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
    const auto bytes = boost::endian::native_to_little(number);
    crc.process_bytes(&bytes, sizeof bytes);
    crc.process_bytes(text.data(), text.size());
    return crc.checksum();
}

}  // namespace preforkd::worker::board
