#include "worker/services/board_links.hpp"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"

namespace preforkd::worker::board {
namespace {

std::string make_folder() {
    for (const char* const pattern :
         {"/tmp/preforkd-board-XXXXXX", "/dev/shm/preforkd-board-XXXXXX"}) {
        std::string folder = pattern;
        if (::mkdtemp(folder.data()) != nullptr) return folder;
    }
    throw StartupError(exit_failure,
                       fmt::format("can't make a folder in /tmp or /dev/shm to name the board's "
                                   "files in: {}",
                                   last_error().message()));
}

bool link_to(int descriptor, const std::string& name) {
    return ::symlink(fmt::format("/proc/self/fd/{}", descriptor).c_str(), name.c_str()) == 0;
}

}  // namespace

DescriptorLinks::DescriptorLinks(int data, int lock)
    : folder_(make_folder()), path_(folder_ + "/board") {
    if (link_to(data, path_) && link_to(lock, path_ + "-lock")) return;
    const auto error = last_error();
    remove();
    throw StartupError(exit_failure, fmt::format("{}: {}", folder_, error.message()));
}

DescriptorLinks::~DescriptorLinks() {
    remove();
}

void DescriptorLinks::remove() const noexcept {
    ::unlink(path_.c_str());
    ::unlink((path_ + "-lock").c_str());
    ::rmdir(folder_.c_str());
}

}  // namespace preforkd::worker::board
