#pragma once

#include <string>
#include <vector>

namespace preforkd::testing {

/// Something that code in a worker does once an attacker runs it.
struct Attack {
    const char* name;
    /// The system call itself; `victim` is the pid of the master or of a sibling. What it returns.
    long (*attempt)(long victim);
    /// What it is refused with; 0: the worker is killed for it; `allowed`: it is done.
    int error = 0;
};
inline constexpr int allowed = -1;

/// On any worker.
[[nodiscard]] const std::vector<Attack>& attacks();

/// On one whose service reads folders, and so has openat2(2).
[[nodiscard]] const std::vector<Attack>& attacks_on_files();

/// On one whose service connects, writes files, or starts threads: what its need opens ends in
/// "done", what is near to it doesn't.
[[nodiscard]] const std::vector<Attack>& attacks_on_connecting();
/// The same, where clients come over a unix socket.
[[nodiscard]] const std::vector<Attack>& attacks_on_unix_listener();
[[nodiscard]] const std::vector<Attack>& attacks_on_writing();
[[nodiscard]] const std::vector<Attack>& attacks_on_threads();

/// Sends `descriptor` over a unix socket, as sendmsg(2) says.
long pass_over(int socket, int descriptor);

/// The youngest connection of this worker, or -1.
[[nodiscard]] int client_socket();

/// A listening socket that the worker shares with its master, or -1.
[[nodiscard]] int listening_socket();

/// The name, after its zero byte, of an abstract unix socket that belongs to a test.
[[nodiscard]] std::string abstract_name(long victim);

/// What a worker may send to its master, and must not.
[[nodiscard]] const std::vector<std::string>& channel_abuses();

/// Sends it.
void abuse_channel(const std::string& name);

/// Runs "NAME VICTIM" of any list in this process: "done", or the error's name.
[[nodiscard]] std::string run_attack(const std::string& order);

/// Opens any file for reading: "done", or the error's name.
[[nodiscard]] std::string try_to_open(const std::string& path);

}  // namespace preforkd::testing
