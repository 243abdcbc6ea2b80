#pragma once

#include <grp.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

namespace preforkd::testing {

/// For boost::unit_test::precondition: the test is counted as skipped without root.
inline boost::test_tools::assertion_result needs_root(boost::unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(::geteuid() == 0);
    result.message() << "needs root";
    return result;
}

inline constexpr uid_t nobody = 65534;

/// In a child: gives up all that root may.
inline void become_nobody() {
    if (::setgroups(0, nullptr) < 0 || ::setresgid(nobody, nobody, nobody) < 0 ||
        ::setresuid(nobody, nobody, nobody) < 0)
        ::_exit(96);
}

}  // namespace preforkd::testing
