#pragma once

namespace preforkd {

/// What a service does beside talking to its clients and logging. A worker may do what its services
/// declare and no more: any other system call ends it with SIGSYS. What start() opens or maps needs
/// no declaration, for a worker confines itself after it.
///
///     static constexpr preforkd::SandboxNeeds needs{.reads_folders = true};
struct SandboxNeeds {
    /// Opens files, for reading, in the folders that the master opened for it (Opens::folder), and
    /// lists these folders. Source: openat2(2).
    bool reads_folders = false;

    /// Writes at offsets, syncs, sets the times of, and locks (by fcntl(2)) files that it has open.
    /// Not ftruncate(2) or flock(2), which would be open for the logs as well.
    bool writes_files = false;

    /// Connects to others over TCP or unix sockets, as Asio does, but for reading into several
    /// buffers at once: recvmsg(2) could bring descriptors.
    bool connects = false;

    /// Starts threads, at the earliest in Service::confined(). Not processes.
    bool starts_threads = false;

    /// Further system calls by name, separated by spaces ("times ftruncate"), with any arguments.
    const char* system_calls = "";
};

}  // namespace preforkd
