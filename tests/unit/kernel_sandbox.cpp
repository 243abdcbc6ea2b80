#include "shared/kernel_sandbox.hpp"

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstring>

#include "unit/foreign_filter.hpp"
#include "unit/process_support.hpp"

using namespace preforkd;
using namespace preforkd::testing;

BOOST_AUTO_TEST_SUITE(kernel_sandbox)

BOOST_AUTO_TEST_CASE(what_an_older_kernel_cannot_confine_is_named_with_the_one_that_can) {
    const std::string files = "opening files (Linux 5.13)",
                      truncation = "truncating files that it may read (Linux 6.2)",
                      ports = "TCP ports (Linux 6.7)",
                      scopes = "signals and abstract unix sockets (Linux 6.12)";
    const std::string since_3 = ports + ", " + scopes, since_1 = truncation + ", " + since_3;
    const std::pair<std::uint32_t, std::string> versions[] = {{0, files + ", " + since_1},
                                                              {1, since_1},
                                                              {2, since_1},
                                                              {3, since_3},
                                                              {4, scopes},
                                                              {5, scopes},
                                                              {6, ""},
                                                              {7, ""},
                                                              {100, ""}};
    for (const auto& [version, gaps] : versions) {
        std::vector<std::string> told;
        if (!gaps.empty()) told = {"this kernel's Landlock can't confine workers in: " + gaps};
        BOOST_TEST(sandbox_gaps({.landlock = version, .seccomp = true}) == told);
    }
}

BOOST_AUTO_TEST_CASE(a_kernel_without_filters_is_told) {
    const auto told = sandbox_gaps({.landlock = 7, .seccomp = false});
    BOOST_REQUIRE(told.size() == 1u);
    BOOST_TEST(told.front() ==
               "this kernel can't filter the workers' system calls (CONFIG_SECCOMP)");
}

BOOST_AUTO_TEST_CASE(a_question_that_was_refused_is_told_with_its_error_and_the_remedy) {
    const auto told = sandbox_gaps({.landlock_error = EPERM, .seccomp_error = EINVAL});
    BOOST_REQUIRE(told.size() == 2u);
    BOOST_TEST(told.front() ==
               "landlock_create_ruleset was refused (Operation not permitted), so workers are not "
               "confined by Landlock; where a container's or a service manager's filter of system "
               "calls forbids it, allow landlock_create_ruleset, landlock_add_rule and "
               "landlock_restrict_self, and restart");
    BOOST_TEST(told.back() ==
               "seccomp was refused (Invalid argument), so the workers' system calls are not "
               "filtered; where a container's or a service manager's filter of system calls "
               "forbids it, allow seccomp, and restart");
}

BOOST_AUTO_TEST_CASE(only_two_errors_mean_that_the_kernel_lacks_it) {
    for (const int error : {ENOSYS, EOPNOTSUPP, EPERM, ENOMEM, EINVAL}) {
        const bool is_lacking = error == ENOSYS || error == EOPNOTSUPP;
        const int refusal = is_lacking ? 0 : error;
        const int status = in_child([&] {
            refuse_call(SCMP_SYS(landlock_create_ruleset), error);
            refuse_call(SCMP_SYS(seccomp), error);
            const KernelSandbox expected{.landlock_error = refusal, .seccomp_error = refusal};
            return ask_kernel_for_sandbox() == expected ? 0 : 1;
        });
        BOOST_TEST(status == 0, std::strerror(error));
    }
}

BOOST_AUTO_TEST_SUITE_END()
