#pragma once

#include <unistd.h>

#include <boost/test/unit_test.hpp>

namespace preforkd::testing {

/// For boost::unit_test::precondition: the test is counted as skipped without root.
inline boost::test_tools::assertion_result needs_root(boost::unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(::geteuid() == 0);
    result.message() << "needs root";
    return result;
}

}  // namespace preforkd::testing
