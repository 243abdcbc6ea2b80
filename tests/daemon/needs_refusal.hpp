#pragma once

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "shared/unique_fd.hpp"

namespace preforkd::testing {

/// Whether descriptors can be passed to this socket.
inline bool passes_descriptors(const UniqueFd& socket) {
    constexpr int pass_rights = 83;
    int passes = -1;
    socklen_t size = sizeof passes;
    return ::getsockopt(socket.get(), SOL_SOCKET, pass_rights, &passes, &size) < 0 || passes != 0;
}

/// For boost::unit_test::precondition: the test is counted as skipped where a socket can't refuse
/// the descriptors that are passed to it (SO_PASSRIGHTS, Linux 6.16).
inline boost::test_tools::assertion_result needs_refusal(boost::unit_test::test_unit_id) {
    constexpr int pass_rights = 83;
    const int none = 0;
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    boost::test_tools::assertion_result result(
        ::setsockopt(socket.get(), SOL_SOCKET, pass_rights, &none, sizeof none) == 0);
    result.message() << "needs SO_PASSRIGHTS (Linux 6.16)";
    return result;
}

}  // namespace preforkd::testing
