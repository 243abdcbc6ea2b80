#include "master/null_device.hpp"

#include <fcntl.h>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {

UniqueFd open_null_device(int flags) {
    UniqueFd device(::open("/dev/null", flags | O_CLOEXEC));
    if (device.is_open()) return device;
    const error_code error = last_error();
    const char* const advice = error.value() == EMFILE ? "" : "\n    mknod -m 666 /dev/null c 1 3";
    throw StartupError(exit_failure, "can't open /dev/null: " + with_limit_advice(error) + advice);
}

}  // namespace preforkd::master
