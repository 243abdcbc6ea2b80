#include <array>
#include <cstdlib>

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

constexpr std::size_t granule = 32;
constexpr std::size_t largest_pooled = 1024;
constexpr std::size_t class_count = largest_pooled / granule;
// A burst of connections must not keep its memory for ever: more than this goes back to malloc.
constexpr unsigned kept_per_class = 128;

struct FreeFrame {
    FreeFrame* next;
};

struct SizeClass {
    FreeFrame* first = nullptr;
    unsigned count = 0;
};

// Without a destructor: a frame may be released by the destructor of another thread-local object,
// later than ours would have run.
constinit thread_local std::array<SizeClass, class_count> classes{};

constexpr std::size_t class_of(std::size_t size) noexcept {
    return (size - 1) / granule;
}

}  // namespace

void* allocate_frame(std::size_t size) {
    if (PREFORKD_POOL_FRAMES == 0 || size > largest_pooled) return ::operator new(size);
    SizeClass& wanted = classes[class_of(size)];
    if (FreeFrame* const frame = wanted.first) {
        wanted.first = frame->next;
        --wanted.count;
        return frame;
    }
    return ::operator new((class_of(size) + 1) * granule);
}

void release_frame(void* memory, std::size_t size) noexcept {
    if (PREFORKD_POOL_FRAMES == 0 || size > largest_pooled) return ::operator delete(memory);
    SizeClass& fitting = classes[class_of(size)];
    if (fitting.count == kept_per_class) return ::operator delete(memory);
    fitting.first = ::new (memory) FreeFrame{fitting.first};
    ++fitting.count;
}

}  // namespace preforkd::detail
