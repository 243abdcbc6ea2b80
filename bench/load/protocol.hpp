#pragma once

#include <memory>
#include <string>

#include "bench/load/options.hpp"
#include "bench/load/reply.hpp"
#include "bench/load/request.hpp"

namespace preforkd::bench {

/// What is said to the server, and how its answers are read. Shared by all threads.
class Protocol {
  public:
    /// Throws UsageError: a command or text that the protocol can't carry.
    explicit Protocol(const Options& options);

    [[nodiscard]] const RequestTemplate& request() const noexcept { return request_; }
    [[nodiscard]] std::unique_ptr<ReplyReader> make_reader() const;

    /// Whether the server speaks first; its greeting is then the first reply of a connection.
    [[nodiscard]] bool server_greets() const noexcept {
        return options_.url.protocol == ProtocolName::board;
    }

    /// Filled from --content, or from a first answer, before any thread runs.
    Expectation expectation;

  private:
    const Options& options_;
    RequestTemplate request_;
};

}  // namespace preforkd::bench
