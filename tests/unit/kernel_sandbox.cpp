#include "shared/kernel_sandbox.hpp"

#include <boost/test/unit_test.hpp>

using namespace preforkd;

BOOST_AUTO_TEST_SUITE(kernel_sandbox)

BOOST_AUTO_TEST_CASE(what_an_older_kernel_cannot_confine_is_named_with_the_one_that_can) {
    const std::string files = "opening files (Linux 5.13)",
                      truncation = "truncating files that it may read (Linux 6.2)",
                      ports = "TCP ports (Linux 6.7)",
                      scopes = "signals and abstract unix sockets (Linux 6.12)";
    const std::string since_3 = ports + ", " + scopes, since_1 = truncation + ", " + since_3;
    const std::pair<int, std::string> versions[] = {{0, files + ", " + since_1},
                                                    {1, since_1},
                                                    {2, since_1},
                                                    {3, since_3},
                                                    {4, scopes},
                                                    {5, scopes},
                                                    {6, ""},
                                                    {7, ""},
                                                    {100, ""}};
    for (const auto& [abi, gaps] : versions) BOOST_TEST(landlock_gaps(abi) == gaps, abi);
}

BOOST_AUTO_TEST_SUITE_END()
