#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shared/types.hpp"

namespace preforkd::master {

/// One descriptor of another process, as /proc/PID/fd lists it.
struct OpenDescriptor {
    Pid pid;
    int number = -1;
};

/// Every process we can see, ourselves excepted.
[[nodiscard]] std::vector<Pid> all_processes();

/// Every descriptor of `processes` whose /proc/PID/fd link reads one of `targets`: an absolute path
/// or "socket:[INODE]". Only links are read, nothing is opened, so a hung file system can't hold
/// us. Processes we may not look into (another user's, or not dumpable) are left out. Source:
/// proc(5), /proc/pid/fd.
[[nodiscard]] std::vector<OpenDescriptor> find_open(const std::vector<std::string>& targets,
                                                    const std::vector<Pid>& processes);

/// The whole of a /proc file, at most 64 KiB; empty when the process has gone or may not be read.
[[nodiscard]] std::string read_proc(Pid pid, const char* name);

/// What the process is called, as `ps -o comm` has it; "unknown program" when it has gone.
[[nodiscard]] std::string program_of(Pid pid);

/// The parent, or pid 0 when the process has gone. Source: proc(5), /proc/pid/stat.
[[nodiscard]] Pid parent_of(Pid pid);

/// Whether the process is in the middle of its exit: its title and descriptors are no longer to be
/// seen, while the kernel may still be about to close them. Not a zombie, which has closed all.
/// Source: proc(5), /proc/pid/stat, flags; PF_EXITING.
[[nodiscard]] bool is_exiting(Pid pid);

/// Whether `pid` is a worker of `program` whose master is gone: its title says worker and its
/// parent's doesn't say master.
[[nodiscard]] bool is_orphaned_worker(Pid pid, std::string_view program);

/// Where `fd` leads, as /proc/self/fd has it; empty when that can't be read.
[[nodiscard]] std::string link_of(int fd);

}  // namespace preforkd::master
