#pragma once

#include <unistd.h>

#include <utility>

namespace preforkd {

/// Owns one file descriptor and closes it. Empty when it holds -1.
class UniqueFd {
  public:
    UniqueFd() noexcept = default;
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(std::exchange(other.fd_, -1));
        return *this;
    }
    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }

    // Not retried on EINTR: Linux has released the number by then. Source: close(2), NOTES.
    void reset(int fd = -1) noexcept {
        const int old = std::exchange(fd_, fd);
        if (old >= 0 && old != fd) ::close(old);
    }

  private:
    int fd_ = -1;
};

}  // namespace preforkd
