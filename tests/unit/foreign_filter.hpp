#pragma once

#include <seccomp.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

namespace preforkd::testing {

/// In a child: what a container's own filter of system calls does. From here on `call` fails with
/// `error`, if its arguments are as `where` says.
inline void refuse_call(int call, int error, const std::vector<scmp_arg_cmp>& where = {}) {
    const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    if (filter == nullptr ||
        ::seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(static_cast<std::uint16_t>(error)), call,
                                 static_cast<unsigned>(where.size()), where.data()) != 0 ||
        ::seccomp_load(filter) != 0)
        ::_exit(95);
    ::seccomp_release(filter);
}

}  // namespace preforkd::testing
