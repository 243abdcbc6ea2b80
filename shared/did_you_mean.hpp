#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

/// "; did you mean 'x'?" when one of `candidates` is a likely slip away from `word`, else nothing.
/// A slip is a letter too many, missing, wrong, or swapped with its neighbour: at most one in
/// three letters.
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       const std::vector<std::string>& candidates);

}  // namespace preforkd
