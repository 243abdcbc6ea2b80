#include "shared/process_title.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace preforkd {
namespace {

// One region of the process, so one pair of globals: the kernel laid it out before main.
char* title_begin = nullptr;
char* title_end = nullptr;

char* end_of(char* text) noexcept {
    return text + std::strlen(text) + 1;
}

}  // namespace

void reserve_process_title(int argc, char** argv) {
    title_begin = title_end = argv[0];
    for (int i = 0; i < argc && argv[i] == title_end; ++i) title_end = end_of(argv[i]);
    for (char** variable = environ; *variable != nullptr; ++variable) {
        if (*variable != title_end) break;
        title_end = end_of(*variable);
        *variable = ::strdup(*variable);  // lives as long as the process
    }
}

void set_process_title(std::string_view title) {
    ::prctl(PR_SET_NAME, std::string(title.substr(0, title.find(':'))).c_str());
    if (title_begin == title_end) return;
    const auto room = static_cast<std::size_t>(title_end - title_begin) - 1;
    const std::size_t length = std::min(title.size(), room);
    std::copy_n(title.data(), length, title_begin);
    std::fill(title_begin + length, title_end, '\0');
}

}  // namespace preforkd
