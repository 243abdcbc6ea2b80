#include "master/null_device.hpp"

#include <fcntl.h>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"

namespace preforkd::master {

UniqueFd open_null_device(int flags) {
    UniqueFd device(::open("/dev/null", flags | O_CLOEXEC));
    if (device.is_open()) return device;
    throw StartupError(exit_failure, "can't open /dev/null: " + last_error().message() +
                                         "\n    mknod -m 666 /dev/null c 1 3");
}

}  // namespace preforkd::master
