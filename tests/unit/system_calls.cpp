#include "worker/system_calls.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <stdexcept>

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
        {{.system_calls = "times sysinfo"}, "sysinfo"}};
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
                                   "shutdown",
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

BOOST_AUTO_TEST_CASE(needs_of_several_services_add_up) {
    AllNeeds needs;
    needs.add({.reads_folders = true});
    needs.add({.system_calls = "sysinfo"});
    needs.add({.system_calls = "times"});
    const auto calls = names_of_calls(call_rules(needs));
    for (const char* const call : {"openat2", "sysinfo", "times"})
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
