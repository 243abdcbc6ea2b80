#include <array>
#include <preforkd/task.hpp>

// AddressSanitizer must see every frame die, or it could not tell a use after its end.
#if defined(__SANITIZE_ADDRESS__)
#define PREFORKD_POOL_FRAMES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PREFORKD_POOL_FRAMES 0
#endif
#endif
#ifndef PREFORKD_POOL_FRAMES
#define PREFORKD_POOL_FRAMES 1
#endif

namespace preforkd::detail {
namespace {

constexpr std::size_t granule = 16;
constexpr std::size_t largest_pooled = 1024;
constexpr std::size_t chunk_size = 32768;

struct FreeFrame {
    FreeFrame* next;
};

/// Frames are cut from chunks, without malloc's 8 to 24 bytes for each, and never go back: what a
/// burst of connections needed waits for the next burst.
struct Pool {
    std::array<FreeFrame*, largest_pooled / granule> free{};
    char* chunk = nullptr;
    std::size_t chunk_left = 0;
};

// Without a destructor: a frame may be released by the destructor of another thread-local object,
// later than ours would have run.
constinit thread_local Pool pool;

constexpr std::size_t class_of(std::size_t size) noexcept {
    return (size - 1) / granule;
}

void* cut_from_chunk(std::size_t size) {
    if (pool.chunk_left < size) {
        pool.chunk = static_cast<char*>(::operator new(chunk_size));
        pool.chunk_left = chunk_size;
    }
    char* const frame = pool.chunk;
    pool.chunk += size;
    pool.chunk_left -= size;
    return frame;
}

}  // namespace

void* allocate_frame(std::size_t size) {
    if (PREFORKD_POOL_FRAMES == 0 || size > largest_pooled) return ::operator new(size);
    FreeFrame*& first = pool.free[class_of(size)];
    if (first == nullptr) return cut_from_chunk((class_of(size) + 1) * granule);
    return std::exchange(first, first->next);
}

void release_frame(void* memory, std::size_t size) noexcept {
    if (PREFORKD_POOL_FRAMES == 0 || size > largest_pooled) return ::operator delete(memory);
    FreeFrame*& first = pool.free[class_of(size)];
    first = ::new (memory) FreeFrame{first};
}

}  // namespace preforkd::detail
