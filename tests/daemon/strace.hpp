#pragma once

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "command.hpp"

// strace(1) as a test's tool: it lists a process's system calls, and makes one of them fail.

namespace preforkd::testing {

inline constexpr const char* strace = "/usr/bin/strace";

/// For boost::unit_test::precondition.
boost::test_tools::assertion_result needs_strace(boost::unit_test::test_unit_id id);

/// The `occurrence`-th call of that name.
struct Call {
    std::string name;
    unsigned occurrence = 1;
};

/// Those that may fail in strace's output, from the line that holds `begin` to that which begins
/// with `end`. Not those that load a new program in place: nobody could do anything about them, and
/// its proof has just made the same.
[[nodiscard]] std::vector<Call> calls_in(const std::string& path, std::string begin,
                                         const std::string& end = "");

/// In the output of strace -f: those of the first child of `parent` that executes a program, up to
/// that.
[[nodiscard]] std::vector<Call> calls_between_fork_and_exec(const std::string& path, pid_t parent);

/// All of them, if PREFORKD_ALL_FAULTS is set; else the first call of each name, and every n-th of
/// the others, so that there are about so many.
[[nodiscard]] std::vector<Call> chosen_from(const std::vector<Call>& calls, std::size_t about);

/// strace's options that make it fail.
[[nodiscard]] std::vector<std::string> injection(const Call& call);

/// strace(1), attached to a running process until it is let go.
class Tracer {
  public:
    Tracer(pid_t target, const std::vector<std::string>& options);
    ~Tracer();
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;

  private:
    Execution execution_{};
};

}  // namespace preforkd::testing
