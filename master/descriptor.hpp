#pragma once

#include <compare>

#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// The number of an open descriptor, which nobody owns: it goes from one program to the next.
struct Descriptor {
    int number = -1;  ///< -1: none
    [[nodiscard]] bool exists() const noexcept { return number >= 0; }
    auto operator<=>(const Descriptor&) const = default;
};

[[nodiscard]] inline Descriptor descriptor_of(const UniqueFd& fd) noexcept {
    return {fd.get()};
}

}  // namespace preforkd::master
