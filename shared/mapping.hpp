#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <utility>

#include "shared/result.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd {

/// Owns a part of the address space that shows a file's memory, from its beginning. Empty when
/// there is none. Source: mmap(2), MAP_SHARED.
class Mapping {
  public:
    Mapping() noexcept = default;
    Mapping(Mapping&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Mapping() {
        if (memory_ != nullptr) ::munmap(memory_, size_);
    }

    /// The whole of `file`. Errors: EPERM  it is sealed against writing; ENOMEM; EINVAL  empty.
    [[nodiscard]] static Result<Mapping> read_only(const UniqueFd& file) noexcept;
    [[nodiscard]] static Result<Mapping> writable(const UniqueFd& file) noexcept;

    [[nodiscard]] bool is_open() const noexcept { return memory_ != nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] void* get() const noexcept { return memory_; }

    /// Its beginning as a T, or nullptr if it is too small for one.
    template <class T>
    [[nodiscard]] T* as() const noexcept {
        return size_ >= sizeof(T) ? static_cast<T*>(memory_) : nullptr;
    }

  private:
    Mapping(void* memory, std::size_t size) noexcept : memory_(memory), size_(size) {}
    static Result<Mapping> map(const UniqueFd& file, int protection) noexcept;

    void* memory_ = nullptr;
    std::size_t size_ = 0;
};

/// Anonymous memory of `size` bytes, all 0, that nobody can shrink or grow: whoever maps it never
/// dies of SIGBUS. Close-on-exec. Source: memfd_create(2), fcntl(2) "File Sealing".
[[nodiscard]] Result<UniqueFd> fixed_memory(const char* name, std::size_t size) noexcept;

/// From here on nobody can map it writable; mappings that exist stay writable.
/// Source: fcntl(2), F_SEAL_FUTURE_WRITE.
error_code seal_against_new_writers(const UniqueFd& memory) noexcept;

}  // namespace preforkd
