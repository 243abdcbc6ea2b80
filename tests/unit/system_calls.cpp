#include "worker/system_calls.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <stdexcept>

#include "tests/daemon/needs_sandbox.hpp"
#include "tests/unit/process_support.hpp"
#include "worker/seccomp.hpp"
#include "worker/services/http.hpp"

using namespace preforkd;
using namespace preforkd::worker;

namespace {

std::vector<std::string> calls_for(const SandboxNeeds& needs) {
    AllNeeds all;
    all.add(needs);
    return names_of_calls(call_rules(all));
}

bool has(const std::vector<std::string>& calls, const std::string& call) {
    return std::find(calls.begin(), calls.end(), call) != calls.end();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(system_calls)

BOOST_AUTO_TEST_CASE(at_most_60_calls_are_open_to_a_worker_that_serves_http) {
    const auto calls = calls_for(Http::needs);
    std::string list;
    for (const std::string& call : calls) list += " " + call;
    // Shown by --log_level=message.
    BOOST_TEST_MESSAGE("system calls of an http worker: " << calls.size() << ":" << list);
    BOOST_TEST(calls.size() <= 60u, list);
}

BOOST_AUTO_TEST_CASE(a_need_opens_what_it_is_for_and_no_other_does) {
    const auto none = calls_for({});
    const std::pair<SandboxNeeds, const char*> openings[] = {
        {{.reads_folders = true}, "openat2"},
        {{.writes_files = true}, "fdatasync"},
        {{.connects = true}, "socket (some)"},
        {{.starts_threads = true}, "clone (some)"},
        {{.system_calls = "getpriority times"}, "times"}};
    for (const auto& [needs, call] : openings) {
        BOOST_TEST(!has(none, call), call);
        BOOST_TEST(has(calls_for(needs), call), call);
        for (const auto& [others_needs, others_call] : openings)
            if (others_call != call) BOOST_TEST(!has(calls_for(others_needs), call), call);
    }
}

BOOST_AUTO_TEST_CASE(what_would_end_the_confinement_is_open_to_nobody) {
    const auto calls = calls_for(
        {.reads_folders = true, .writes_files = true, .connects = true, .starts_threads = true});
    for (const char* const call : {"execve",
                                   "execveat",
                                   "fork",
                                   "vfork",
                                   "clone",
                                   "clone3",
                                   "ptrace",
                                   "kill",
                                   "tkill",
                                   "open",
                                   "openat",
                                   "creat",
                                   "truncate",
                                   "ftruncate",
                                   "bind",
                                   "listen",
                                   "accept",
                                   "socket",
                                   "setsockopt",
                                   "ioctl",
                                   "fcntl",
                                   "prctl",
                                   "mmap",
                                   "mprotect",
                                   "tgkill",
                                   "io_uring_setup",
                                   "memfd_create",
                                   "userfaultfd",
                                   "bpf",
                                   "perf_event_open",
                                   "unshare",
                                   "setns",
                                   "mount",
                                   "chroot",
                                   "setuid",
                                   "setresuid",
                                   "capset",
                                   "seccomp",
                                   "pidfd_open",
                                   "pidfd_getfd",
                                   "process_vm_readv",
                                   "dup",
                                   "personality",
                                   "keyctl",
                                   "symlinkat",
                                   "linkat"})
        BOOST_TEST(!has(calls, call), call);
    for (const char* const refused : {"clone3 (refused)", "openat (refused)"})
        BOOST_TEST(has(calls, refused), refused);
}

BOOST_AUTO_TEST_CASE(a_shared_datagram_socket_can_be_written_to_and_not_sent_from,
                     *boost::unit_test::precondition(testing::needs_sandbox)) {
    enum class By { write, send };
    const auto child = [](int last_shared, By by) {
        return testing::in_child([=] {
            int ends[2];
            if (::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0 || ::dup2(ends[0], 40) < 0) return 1;
            ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            confine_system_calls(call_rules({}), {last_shared, true});
            const ssize_t size = by == By::write ? ::write(40, "x", 1) : ::send(40, "x", 1, 0);
            return size == 1 ? 0 : 2;
        });
    };
    BOOST_TEST(child(40, By::write) == 0);
    BOOST_TEST(child(40, By::send) == 128 + SIGSYS);
    BOOST_TEST(child(39, By::send) == 0);
}

BOOST_AUTO_TEST_CASE(needs_of_several_services_add_up) {
    AllNeeds needs;
    needs.add({.reads_folders = true});
    needs.add({.system_calls = "getpriority"});
    needs.add({.system_calls = "times"});
    const auto calls = names_of_calls(call_rules(needs));
    for (const char* const call : {"openat2", "getpriority", "times"})
        BOOST_TEST(has(calls, call), call);
}

BOOST_AUTO_TEST_CASE(a_name_that_is_no_system_call_is_refused) {
    AllNeeds needs;
    needs.add({.system_calls = "times frobnicate"});
    BOOST_CHECK_EXCEPTION((void)call_rules(needs), std::invalid_argument, [](const auto& error) {
        return std::string(error.what()).find("'frobnicate'") != std::string::npos;
    });
}

BOOST_AUTO_TEST_SUITE_END()
