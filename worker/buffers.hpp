#pragma once

#include <cstddef>
#include <memory>

namespace preforkd::worker {

class Session;

/// Memory that the sessions of a worker use in turns: an idle one needs none. Whoever takes it from
/// a holder must let that one save what it still needs.
class SharedBuffer {
  public:
    explicit SharedBuffer(std::size_t capacity)
        : memory_(std::make_unique_for_overwrite<char[]>(capacity)), capacity_(capacity) {}

    [[nodiscard]] char* begin() noexcept { return memory_.get(); }
    [[nodiscard]] char* end() noexcept { return memory_.get() + capacity_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] bool contains(const char* byte) const noexcept {
        return byte >= memory_.get() && byte < memory_.get() + capacity_;
    }

    /// How much of it is in use, for an output buffer.
    std::size_t size = 0;

    [[nodiscard]] Session* holder() const noexcept { return holder_; }
    void hand_to(Session* holder) noexcept { holder_ = holder; }

  private:
    std::unique_ptr<char[]> memory_;
    std::size_t capacity_;
    Session* holder_ = nullptr;
};

}  // namespace preforkd::worker
