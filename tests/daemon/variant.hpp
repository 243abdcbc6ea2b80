#pragma once

#include <optional>
#include <string>

#include "daemon.hpp"
#include "unit/process_support.hpp"

namespace preforkd::testing {

/// A copy of this program that goes by another version, and behaves as a new program might: good or
/// bad. What it is stands behind the program's own bytes, which no loader looks at.
struct Variant {
    std::string version = "1.0";
    /// What it does before anything else when it is to prove itself: "exit STATUS", "die SIGNAL",
    /// "say TEXT" (as its answer), "hang", "gate NAME" (it waits there for the test's word).
    std::string when_proving{};
    /// The same when it takes over, and "without services" or, once it is on its way,
    /// "die later SIGNAL", "hang later".
    std::string when_taking_over{};
};

/// Where a program lies that can be replaced.
struct ProgramFolder {
    TempFolder programs;
    std::string program = programs / "probed";
};

/// A server of the probe service whose program lies in a folder of its own.
class UpgradableDaemon : private ProgramFolder, public Daemon {
  public:
    UpgradableDaemon() : UpgradableDaemon(with_keys()) {}
    explicit UpgradableDaemon(Setup setup);
    /// A setup with these keys.
    [[nodiscard]] static Setup with_keys(const std::string& keys = "workers = 2\n");

    [[nodiscard]] const std::string& path() const { return program; }
    /// Puts that one in the program's place, at once: nobody ever finds half of it.
    void install(const Variant& variant) const;
    /// USR2 with that version in place, and its good end.
    void upgrade_to(const std::string& version);
};

/// `setup` for a server whose program is the one at `path`, whatever it would have been.
[[nodiscard]] Setup executing(Setup setup, const std::string& path);

/// What the program that runs is; nothing when it is no copy.
[[nodiscard]] std::optional<Variant> own_variant();

/// Runs the probe service's daemon as that variant.
int run_variant(int argc, char** argv, const Variant& variant);

}  // namespace preforkd::testing
