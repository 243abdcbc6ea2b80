// Whatever a field's value: ranges lie in the file and cost no more than it, dates survive being
// rendered, escaped text holds nothing that HTML would see.

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "worker/services/http_conditional.hpp"
#include "worker/services/http_encoding.hpp"
#include "worker/services/http_html.hpp"
#include "worker/services/http_mime.hpp"
#include "worker/services/http_path.hpp"
#include "worker/services/http_range.hpp"

using namespace preforkd::worker::http;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void check_ranges(std::string_view field, std::uint64_t size) {
    RangeSet set;
    if (read_ranges(field, size, set) != RangeVerdict::partial) return;
    require(set.count > 0 && set.count <= RangeSet::capacity);
    std::uint64_t total = 0;
    for (const ByteRange& range : set.view()) {
        require(range.first <= range.last && range.last < size);
        total += range.length();
        require(total >= range.length() && total <= size);
    }
}

void check_date(std::string_view field, UnixTime now) {
    const auto date = parse_date(field, now);
    if (date) require(parse_date(view(format_date(*date)), now) == *date);
}

void check_conditions(std::string_view field, UnixTime now) {
    RequestHead head;
    for (std::string_view& value : head.values) value = field;
    const Validators current{"\"tag\"", now};
    // What If-Match accepts, If-None-Match of the same value refuses.
    require(evaluate_conditions(head, current, now) != Condition::holds);
    if (is_range_current(head, current, now)) require(field == current.etag);
    static_cast<void>(choose_coding(head, true, true));
    require(read_weight(field) <= 1000);
    if (matches_etag(field, current.etag, false)) require(matches_etag(field, current.etag, true));
}

void check_text(std::string_view field) {
    const std::string escaped = escape_html(field);
    require(escaped.find_first_of("<>\"'") == std::string::npos);
    require(is_valid_utf8(escaped));
}

void check_mime_types(std::string_view field) {
    for (const char character : check_types(field).what)
        require(character >= ' ' && character <= '~');
    MimeTypes types;
    types.add(field);
    for (const char character : types.type_of(field))
        require(static_cast<unsigned char>(character) >= 0x20);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < sizeof(std::uint64_t)) return 0;
    std::uint64_t number = 0;
    std::memcpy(&number, data, sizeof number);
    const std::string_view field(reinterpret_cast<const char*>(data) + sizeof number,
                                 size - sizeof number);
    const auto now = static_cast<UnixTime>(number % 200000000000);
    check_ranges(field, number >> (number % 64));
    check_date(field, now);
    check_conditions(field, now);
    check_text(field);
    if (number % 64 == 0) check_mime_types(field);
    return 0;
}
