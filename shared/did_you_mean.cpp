#include "shared/did_you_mean.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace preforkd {
namespace {

/// How many slips lie between two words: the optimal string alignment distance.
std::size_t slips_between(std::string_view from, std::string_view to) {
    std::vector<std::size_t> before, last, row(to.size() + 1);
    for (std::size_t j = 0; j <= to.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= from.size(); ++i) {
        before = std::exchange(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= to.size(); ++j) {
            const std::size_t changed = from[i - 1] == to[j - 1] ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + changed});
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row[to.size()];
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates) {
    std::string best;
    std::size_t fewest = std::string::npos;
    for (const std::string& candidate : candidates) {
        const auto [shorter, longer] = std::minmax({word.size(), candidate.size()});
        const std::size_t bearable = std::max<std::size_t>(1, longer / 3);
        if (longer - shorter > bearable) continue;
        const std::size_t slips = slips_between(word, candidate);
        if (slips > bearable || slips >= fewest || slips >= longer) continue;
        fewest = slips;
        best = candidate;
    }
    return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
    const std::string best = nearest_word(word, candidates);
    return best.empty() ? best : fmt::format("; did you mean '{}'?", best);
}

}  // namespace preforkd
