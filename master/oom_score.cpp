#include "master/oom_score.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

// Not -1000, which would forbid it altogether, even if it were the master that ate the memory.
constexpr int wanted = -900;

}  // namespace

std::string lower_oom_score() {
    const UniqueFd file(::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
    char text[16];
    const ssize_t size = file.is_open() ? ::pread(file.get(), text, sizeof text, 0) : -1;
    int score = 0;
    if (size <= 0 || std::from_chars(text, text + size, score).ec != std::errc()) return {};
    if (score > wanted) (void)write_all(file.get(), std::to_string(wanted));
    return std::to_string(std::max(score, 0));
}

}  // namespace preforkd::master
