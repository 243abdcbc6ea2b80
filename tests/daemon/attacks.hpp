#pragma once

#include <string>
#include <vector>

namespace preforkd::testing {

/// Something that code in a worker does once an attacker runs it.
struct Attack {
    const char* name;
    /// The system call itself; `victim` is the pid of the master or of a sibling. What it returns.
    long (*attempt)(long victim);
    /// What it is refused with; 0: the worker is killed for it.
    int error = 0;
};

/// On any worker.
[[nodiscard]] const std::vector<Attack>& attacks();

/// On one whose service reads folders, and so has openat2(2).
[[nodiscard]] const std::vector<Attack>& attacks_on_files();

/// What a worker may send to its master, and must not.
[[nodiscard]] const std::vector<std::string>& channel_abuses();

/// Sends it.
void abuse_channel(const std::string& name);

/// Runs "NAME VICTIM" of either list in this process: "done", or the error's name.
[[nodiscard]] std::string run_attack(const std::string& order);

}  // namespace preforkd::testing
