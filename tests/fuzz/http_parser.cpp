// Whatever the bytes: the verdict on a head doesn't depend on how much of what follows is there,
// views stay inside the head, and a body's end doesn't depend on how it was split.

#include <cstdlib>
#include <memory>
#include <string_view>

#include "worker/services/http_body.hpp"
#include "worker/services/http_parser.hpp"

using namespace preforkd::worker::http;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

bool same(const HeadResult& a, const HeadResult& b) {
    return a.kind == b.kind && a.length == b.length && a.refusal.status == b.refusal.status &&
           a.refusal.why == b.refusal.why;
}

bool is_inside(std::string_view part, std::string_view whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

// A copy that ends where its memory ends, so that reading on is seen.
HeadResult parse_alone(std::string_view bytes, const Limits& limits) {
    const std::unique_ptr<char[]> copy(new char[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), copy.get());
    RequestHead head;
    return parse_head({copy.get(), bytes.size()}, limits, head);
}

void check_views(const RequestHead& head, std::string_view bytes) {
    for (const std::string_view view :
         {head.line, head.method_text, head.target, head.query, head.host, head.field_lines})
        require(is_inside(view, bytes));
    require(head.path == "/" || is_inside(head.path, bytes));
    for (std::size_t i = 0; i < head.values.size(); ++i) {
        const Field field{static_cast<std::uint8_t>(i)};
        require(is_inside(head.value(field), bytes));
        std::size_t count = 0;
        for_each_value(head, field, [&](std::string_view value) {
            require(is_inside(value, bytes));
            if (count++ == 0) require(value == head.value(field));
        });
        require(count == (head.has(field)
                              ? (head.is_repeated(field) ? std::max<std::size_t>(2, count) : 1)
                              : 0));
    }
}

BodyResult consume_in_steps(BodyReader reader, std::string_view bytes, std::size_t step) {
    std::size_t at = 0;
    for (;;) {
        const std::string_view piece = bytes.substr(at, step);
        BodyResult result = reader.consume(piece);
        require(result.consumed <= piece.size());
        at += result.consumed;
        result.consumed = at;
        if (result.kind != BodyResult::Kind::incomplete) return result;
        require(result.consumed == at && (piece.size() == step || at == bytes.size()));
        if (at == bytes.size()) return result;
    }
}

void check_body(const RequestHead& head, std::string_view rest, const Limits& limits,
                std::size_t step) {
    const BodyReader reader(head, limits.body);
    const BodyResult whole = consume_in_steps(reader, rest, rest.size() + 1);
    const BodyResult split = consume_in_steps(reader, rest, step);
    require(whole.kind == split.kind && whole.consumed == split.consumed &&
            whole.refusal.status == split.refusal.status && whole.refusal.why == split.refusal.why);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 2) return 0;
    const Limits limits{
        .head = 64U + 16U * data[0], .line = 32U + 8U * data[0], .fields = 8, .body = 300};
    const std::size_t step = 1U + data[1] % 32;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    RequestHead head;
    const HeadResult whole = parse_head(bytes, limits, head);
    bool decided = false;
    for (std::size_t length = 0; length <= bytes.size(); length += step) {
        const HeadResult prefix = parse_alone(bytes.substr(0, length), limits);
        if (!decided && prefix.kind == HeadResult::Kind::incomplete) continue;
        decided = true;
        require(same(prefix, whole));
    }
    if (whole.kind != HeadResult::Kind::complete) return 0;
    require(whole.length <= bytes.size() && whole.length <= limits.head);
    check_views(head, bytes.substr(0, whole.length));
    require(same(parse_alone(bytes.substr(0, whole.length), limits), whole));
    require(parse_alone(bytes.substr(0, whole.length - 1), limits).kind ==
            HeadResult::Kind::incomplete);
    check_body(head, bytes.substr(whole.length), limits, step);
    return 0;
}
