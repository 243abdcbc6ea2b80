#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "master/take_over_call.hpp"
#include "master/upgrade_state.hpp"
#include "tests/unit/upgrade_state_example.hpp"

// Any bytes at all, as a master's state: they are refused, or say the same when written again. The
// bytes also replace a piece of a good state, with head and checksum made right, to get beyond
// them.

namespace {

using namespace preforkd::master;

void check(std::string_view bytes) {
    try {
        const UpgradeState state = decode(bytes);
        const std::string written = encode(state);
        if (encode(decode(written)) != written) std::abort();
    } catch (const BadArchive&) {
    }
}

/// What encode() puts before the fields, for other fields.
std::string with_head(std::string_view fields) {
    std::string bytes = "preforkd upgrade state\n";
    std::uint64_t sum = 0xcbf29ce484222325;
    for (const char byte : fields) sum = (sum ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    const auto append = [&](std::uint64_t number, unsigned size) {
        for (unsigned i = 0; i < size; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
    };
    append(upgrade_state_version, 4);
    append(fields.size(), 8);
    append(sum, 8);
    return bytes.append(fields);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string good = encode(test::example_state());
    static const std::string good_fields = good.substr(with_head("").size());
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    check(bytes);
    check(with_head(bytes));
    if (size >= 2) {
        std::string spoilt = good_fields;
        const std::size_t at = (data[0] | unsigned{data[1]} << 8u) % spoilt.size();
        spoilt.replace(at, std::min(bytes.size() - 2, spoilt.size() - at), bytes.substr(2));
        check(with_head(spoilt));
    }
    (void)decode_answer(bytes);
    return 0;
}
