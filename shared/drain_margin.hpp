#pragma once

#include "shared/types.hpp"

namespace preforkd {

/// A draining worker ends itself at its drain_timeout, and is killed when it is late by this. Its
/// clock is coarse: it cuts its connections up to a second late, and then gives their services one
/// more tick to return.
inline constexpr seconds drain_margin{3};

}  // namespace preforkd
