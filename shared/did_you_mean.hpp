#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

/// The one of `candidates` that is the fewest slips away from `word`; empty when none is a likely
/// one. A slip is a letter too many, missing, wrong, or swapped with its neighbour: at most one in
/// three letters.
[[nodiscard]] std::string nearest_word(std::string_view word,
                                       const std::vector<std::string>& candidates);

/// "; did you mean 'x'?" of the nearest word, or nothing when there is none.
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       const std::vector<std::string>& candidates);

}  // namespace preforkd
