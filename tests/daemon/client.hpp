#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "shared/unique_fd.hpp"

namespace preforkd::testing {

/// A client that waits for everything, and fails the test at its deadline.
class Client {
  public:
    /// Connects to "127.0.0.1:4000", "[::1]:4000" or "unix:PATH".
    explicit Client(const std::string& address);

    void send(std::string_view bytes);
    /// The same; false when the connection is broken.
    bool try_send(std::string_view bytes);
    /// The next line, without its LF. Fails the test when the connection ends before.
    std::string receive_line();
    /// The same, or nothing when the connection ends before.
    std::optional<std::string> try_receive_line();
    /// Exactly so many bytes.
    std::string receive(std::size_t size);
    /// Waits for the end of what the server sends; what came before it.
    std::string receive_rest();
    std::string ask(const std::string& line) {
        send(line + "\n");
        return receive_line();
    }
    void shutdown_write() const;

  private:
    bool receive_more();
    UniqueFd socket_;
    std::string received_;
    bool ended_ = false;
};

/// What connect(2) says to `address` at once: 0, ECONNREFUSED, ENOENT.
[[nodiscard]] int try_to_connect(const std::string& address);

/// A listening socket without SO_REUSEADDR or SO_REUSEPORT, or fails the test.
[[nodiscard]] UniqueFd listen_at(const std::string& address);

/// Where a socket is bound, as text.
[[nodiscard]] std::string address_of(const UniqueFd& socket);

}  // namespace preforkd::testing
