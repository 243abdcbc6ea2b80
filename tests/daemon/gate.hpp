#pragma once

#include <string>
#include <string_view>

#include "processes.hpp"
#include "shared/unique_fd.hpp"

// A place where workers of the probe service wait, while they start, for what the test wants of
// them: so a test can look at a start or reload that goes on, and end it as it likes.

namespace preforkd::testing {

/// A worker that waits at the gate.
class Visitor {
  public:
    explicit Visitor(UniqueFd connection);
    [[nodiscard]] pid_t pid() const { return process_.pid(); }
    [[nodiscard]] const Process& process() const { return process_; }

    void pass() { say("go"); }
    void fail(const std::string& why) { say("fail " + why); }
    void exit(int status) { say("exit " + std::to_string(status)); }
    void die(int signal) { say("die " + std::to_string(signal)); }
    /// Sends something on its channel that no worker may send.
    void misbehave() { say("misbehave"); }

  private:
    void say(const std::string& order);
    UniqueFd connection_;
    Process process_;
};

/// The test's end.
class Gate {
  public:
    Gate();
    /// For the `gate` key.
    [[nodiscard]] const std::string& name() const { return name_; }
    /// Waits for the next worker; fails the test at its deadline.
    [[nodiscard]] Visitor next();
    void pass(int workers) {
        for (int i = 0; i < workers; ++i) next().pass();
    }
    /// A worker waits here.
    [[nodiscard]] bool has_visitor() const;

  private:
    UniqueFd listener_;
    std::string name_;
};

/// The worker's side: waits at the gate called `name` and gives the order: "go", "fail WHY", ...
/// Throws std::runtime_error when the test is gone.
[[nodiscard]] std::string wait_at_gate(std::string_view name);

}  // namespace preforkd::testing
