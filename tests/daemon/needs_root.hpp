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
inline void become(uid_t user) {
    if (::setgroups(0, nullptr) < 0 || ::setresgid(user, user, user) < 0 ||
        ::setresuid(user, user, user) < 0)
        ::_exit(96);
}

inline void become_nobody() {
    become(nobody);
}

/// A user that no other test process has, for what the kernel counts by user over the whole
/// machine, such as descriptors on their way. unix(7), ETOOMANYREFS
inline const uid_t user_of_our_own = 100'000 + static_cast<uid_t>(::getpid());

}  // namespace preforkd::testing
