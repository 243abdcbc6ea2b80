// Preloaded into a server, moves its wall clock: by as many seconds as stand in the file that
// CLOCK_SHIFT names, an int64, which may change at any time. The machine's clock stays alone.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

const std::atomic<std::int64_t>* shift = nullptr;

[[gnu::constructor]] void map_shift() {
    const char* const path = std::getenv("CLOCK_SHIFT");
    const int file = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void* const memory = ::mmap(nullptr, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    ::close(file);
    if (memory != MAP_FAILED) shift = static_cast<const std::atomic<std::int64_t>*>(memory);
}

time_t now_shifted() {
    return shift == nullptr ? 0 : static_cast<time_t>(shift->load());
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
    const long returned = ::syscall(SYS_clock_gettime, clock, now);
    if (returned == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += now_shifted();
    return static_cast<int>(returned);
}

extern "C" int gettimeofday(timeval* now, void*) noexcept {
    const long returned = ::syscall(SYS_gettimeofday, now, nullptr);
    if (returned == 0) now->tv_sec += now_shifted();
    return static_cast<int>(returned);
}

extern "C" time_t time(time_t* result) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != nullptr) *result = now.tv_sec;
    return now.tv_sec;
}
