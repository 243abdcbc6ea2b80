#pragma once

#include <seccomp.h>

#include <preforkd/sandbox_needs.hpp>
#include <string>
#include <vector>

namespace preforkd::worker {

/// One way in which one system call may be made, or is answered with an error number.
struct CallRule {
    int call = 0;                       ///< of this machine's kind
    std::vector<scmp_arg_cmp> where{};  ///< all of it holds; nothing: whatever the arguments
    int error = 0;                      ///< 0: the call is made
};

/// What services together declare.
struct AllNeeds {
    bool reads_folders = false;
    bool writes_files = false;
    bool connects = false;
    bool starts_threads = false;
    std::string system_calls;

    void add(const SandboxNeeds& needs);
};

/// Every call that a worker with these needs can make; any other ends it. Throws
/// std::invalid_argument for a name that isn't a system call's.
[[nodiscard]] std::vector<CallRule> call_rules(const AllNeeds& needs);

/// Names of the calls in `rules`, sorted, each once; those with conditions end in " (some)", those
/// that only get an error in " (refused)".
[[nodiscard]] std::vector<std::string> names_of_calls(const std::vector<CallRule>& rules);

}  // namespace preforkd::worker
