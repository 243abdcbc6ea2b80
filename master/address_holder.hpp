#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shared/address.hpp"
#include "shared/types.hpp"

namespace preforkd::master {

/// Who listens where we want to.
struct AddressHolder {
    std::vector<Pid> pids;  ///< those that we may look into; a preforking server has several
    std::string text;       ///< for a message: "pid 4242 (nginx)", "a process that can't be seen"
};

/// Looks through the kernel's list of sockets for a listener that keeps us from binding `address`.
/// Slow: reads every process's descriptors. Source: proc(5), /proc/net/tcp and /proc/net/unix.
[[nodiscard]] AddressHolder find_holder(const Address& address);

/// Workers of `program` that outlived their master and still hold, or may still hold, the address:
/// those among the holders, or any that we can see when the holders can't be seen (a worker isn't
/// dumpable, so without root its descriptors are hidden). A process in the middle of its exit may
/// be one: what it was can't be seen any more.
[[nodiscard]] std::vector<Pid> orphans_among(const AddressHolder& holder, std::string_view program);

}  // namespace preforkd::master
