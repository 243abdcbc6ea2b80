#pragma once

#include <preforkd/service.hpp>

namespace preforkd::worker {

/// Sends back what it receives until the client has sent everything. Source: RFC 862.
/// A client that doesn't read its echo is not read from either, so its memory here is bounded.
class Echo final : public Service {
  public:
    static constexpr const char* doc = "Sends back what it receives; to try a server out.";
    static constexpr const char* sample_address = "*:7007";

    task<void> serve(Connection& client) override;
};

}  // namespace preforkd::worker
