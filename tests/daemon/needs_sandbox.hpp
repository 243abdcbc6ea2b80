#pragma once

#include <boost/test/unit_test.hpp>

#include "shared/kernel_sandbox.hpp"
#include "worker/seccomp.hpp"

namespace preforkd::testing {

/// For boost::unit_test::precondition: the test is counted as skipped where forbidden calls are not
/// stopped, or files not closed.
inline boost::test_tools::assertion_result needs_sandbox(boost::unit_test::test_unit_id) {
    const KernelSandbox kernel = ask_kernel_for_sandbox();
    boost::test_tools::assertion_result result(!worker::is_sanitizer_build() && kernel.seccomp &&
                                               kernel.landlock > 0);
    result.message() << "needs seccomp and Landlock, and no sanitizer";
    return result;
}

}  // namespace preforkd::testing
