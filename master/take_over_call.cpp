#include "master/take_over_call.hpp"

#include <fmt/format.h>

#include "shared/log.hpp"

namespace preforkd::master {
namespace {

constexpr std::string_view proven_mark = "preforkd-proof 1 proven\n";
constexpr std::string_view refused_mark = "preforkd-proof 1 refused\n";
constexpr std::string_view end_mark = "\n.\n";  // what is cut short is no answer

std::string without_end(std::string_view text) {
    return std::string(text.substr(0, text.size() - end_mark.size()));
}

}  // namespace

std::string encode(const ProofAnswer& answer) {
    return fmt::format("{}{}{}", answer.proven ? proven_mark : refused_mark, answer.text, end_mark);
}

ProofAnswer decode_answer(std::string_view bytes) {
    for (const auto mark : {proven_mark, refused_mark})
        if (bytes.starts_with(mark) && bytes.ends_with(end_mark) &&
            bytes.size() >= mark.size() + end_mark.size())
            return {mark == proven_mark, without_end(bytes.substr(mark.size()))};
    return {false, fmt::format("it answered something else than a preforkd would: '{}'",
                               escape_for_log(bytes, 80))};
}

}  // namespace preforkd::master
