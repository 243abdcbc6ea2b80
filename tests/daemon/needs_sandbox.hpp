#pragma once

#include <boost/test/unit_test.hpp>

#include "shared/kernel_sandbox.hpp"
#include "worker/seccomp.hpp"

namespace preforkd::testing {

/// For boost::unit_test::precondition: the test is counted as skipped where forbidden calls are not
/// stopped, or files not closed.
inline boost::test_tools::assertion_result needs_sandbox(boost::unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(!worker::is_sanitizer_build() &&
                                               kernel_has_seccomp() && landlock_abi() > 0);
    result.message() << "needs seccomp and Landlock, and no sanitizer";
    return result;
}

}  // namespace preforkd::testing
