#include "bench/load/request.hpp"

#include <fmt/format.h>

#include <iterator>

namespace preforkd::bench {

RequestTemplate::RequestTemplate(std::string_view text, std::uint64_t numbers, unsigned digits)
    : numbers_(numbers), digits_(digits) {
    constexpr std::string_view mark = "{n}";
    pieces_.clear();
    for (std::size_t at; (at = text.find(mark)) != text.npos; text.remove_prefix(at + mark.size()))
        pieces_.emplace_back(text.substr(0, at));
    pieces_.emplace_back(text);
}

std::uint64_t RequestTemplate::append_to(std::string& out, Random& random) const {
    out += pieces_.front();
    if (!varies()) return 0;
    const std::uint64_t number = random.up_to(numbers_);
    for (std::size_t i = 1; i < pieces_.size(); ++i) {
        fmt::format_to(std::back_inserter(out), "{:0{}}", number, digits_);
        out += pieces_[i];
    }
    return number;
}

std::string RequestTemplate::repeated(unsigned times) const {
    std::string all;
    for (unsigned i = 0; i < times; ++i) all += pieces_.front();
    return all;
}

}  // namespace preforkd::bench
