#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "shared/unique_fd.hpp"

namespace preforkd::testing {

/// For boost::unit_test::precondition: the test is counted as skipped where there is no IPv6.
inline boost::test_tools::assertion_result needs_ipv6(boost::unit_test::test_unit_id) {
    sockaddr_in6 loopback{};
    loopback.sin6_family = AF_INET6;
    loopback.sin6_addr = in6addr_loopback;
    const UniqueFd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    boost::test_tools::assertion_result result(
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&loopback), sizeof loopback) == 0);
    result.message() << "needs IPv6";
    return result;
}

}  // namespace preforkd::testing
