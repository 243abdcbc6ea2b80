#pragma once

#include <poll.h>

#include <chrono>
#include <initializer_list>
#include <vector>

namespace preforkd::testing {

/// How long anything may take before the test fails. A limit for failures; nothing waits for it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::chrono::seconds patience{30};
#else
inline constexpr std::chrono::seconds patience{10};
#endif

class Deadline {
  public:
    /// For poll(2).
    [[nodiscard]] int milliseconds_left() const {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
        return left.count() > 0 ? static_cast<int>(left.count()) : 0;
    }

  private:
    std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + patience;
};

/// Waits until one of `entries` is ready; false at the deadline. Negative descriptors are skipped.
inline bool wait_for_any(std::vector<pollfd>& entries, const Deadline& deadline) {
    for (;;) {
        const int ready = ::poll(entries.data(), entries.size(), deadline.milliseconds_left());
        if (ready >= 0) return ready > 0;
    }
}

inline bool wait_for(int descriptor, short events, const Deadline& deadline) {
    std::vector<pollfd> entry{{descriptor, events, 0}};
    return wait_for_any(entry, deadline);
}

}  // namespace preforkd::testing
