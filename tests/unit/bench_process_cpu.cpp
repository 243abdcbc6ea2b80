#include "bench/load/process_cpu.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <thread>

#include "unit/process_support.hpp"

using namespace preforkd::bench;
using namespace std::chrono_literals;
using preforkd::testing::Pipe;

namespace {

void burn(nanoseconds amount) {
    const auto end = own_cpu_time() + amount;
    while (own_cpu_time() < end) {
    }
}

void say(const preforkd::UniqueFd& fd) {
    if (::write(fd.get(), "x", 1) != 1) std::abort();
}

void await(const preforkd::UniqueFd& fd) {
    char byte;
    if (::read(fd.get(), &byte, 1) != 1) std::abort();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_process_cpu)

// A server's workers come and go during a storm of reloads; a reading that saw only living
// processes made such a server look cheaper than it is.
BOOST_AUTO_TEST_CASE(what_an_exited_child_and_an_exited_thread_have_used_stays_in_the_sum) {
    Pipe told, go;
    const pid_t root = ::fork();
    if (root == 0) {
        say(told.writing);
        await(go.reading);
        std::thread([] { burn(60ms); }).join();
        const pid_t child = ::fork();
        if (child == 0) {
            burn(100ms);
            ::_exit(0);
        }
        ::waitpid(child, nullptr, 0);
        say(told.writing);
        await(go.reading);
        ::_exit(0);
    }
    await(told.reading);
    const nanoseconds before = cpu_time({root});
    say(go.writing);
    await(told.reading);
    const nanoseconds used = cpu_time({root}) - before;
    say(go.writing);
    ::waitpid(root, nullptr, 0);
    BOOST_TEST(used.count() >= nanoseconds(140ms).count());
}

BOOST_AUTO_TEST_CASE(a_living_grandchild_counts_and_a_missing_process_counts_as_nothing) {
    Pipe told, go;
    const pid_t root = ::fork();
    if (root == 0) {
        const pid_t child = ::fork();
        if (child == 0) {
            burn(50ms);
            say(told.writing);
            await(go.reading);
            ::_exit(0);
        }
        ::waitpid(child, nullptr, 0);
        ::_exit(0);
    }
    await(told.reading);
    const nanoseconds used = cpu_time({root});
    BOOST_TEST(used.count() >= nanoseconds(50ms).count());
    say(go.writing);
    ::waitpid(root, nullptr, 0);
    BOOST_TEST(cpu_time({root}).count() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
