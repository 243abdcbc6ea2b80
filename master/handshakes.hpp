#pragma once

#include <cstdint>
#include <vector>

#include "shared/address.hpp"
#include "shared/result.hpp"

namespace preforkd::master {

/// The connections to a TCP `address` of ours whose handshake is not over (SYN_RECV), each by its
/// cookie, which no other socket of this boot has; sorted. Among them are those whose client has
/// done its part and is silent, which TCP_DEFER_ACCEPT holds back.
/// Errors: ENOENT, EPROTONOSUPPORT  this kernel can't tell. Source: sock_diag(7).
[[nodiscard]] Result<std::vector<std::uint64_t>> pending_handshakes(const Address& address);

}  // namespace preforkd::master
