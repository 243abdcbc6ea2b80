#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <preforkd/service.hpp>
#include <string>

#include "shared/log.hpp"
#include "shared/syscalls.hpp"
#include "worker/engine.hpp"

namespace preforkd::test {

/// A service whose coroutine is given by the test.
struct ScriptedService : Service {
    using Script = std::function<task<void>(Connection&)>;

    explicit ScriptedService(Script serve_client) : script(std::move(serve_client)) {}
    task<void> serve(Connection& client) override { return script(client); }

    Script script;
};

/// A log that is kept in memory.
struct MemoryLog {
    UniqueFd file{::memfd_create("log", MFD_CLOEXEC)};
    Logger logger{file.get(), LogStyle::plain, LogLevel::debug, "test"};

    [[nodiscard]] std::string text() const { return read_all(file, 1 << 20).value(); }
};

/// Listens on a port of the loopback interface that the kernel chose.
inline UniqueFd listening_socket(int backlog = 128) {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    BOOST_REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    BOOST_REQUIRE(::listen(socket.get(), backlog) == 0);
    return socket;
}

/// The client's end of a connection; never waits unless told so.
class Peer {
  public:
    explicit Peer(UniqueFd socket) : socket_(std::move(socket)) {}

    static Peer connected_to(int listener) {
        sockaddr_storage address{};
        socklen_t size = sizeof address;
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
        UniqueFd socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        BOOST_REQUIRE(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
        ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
        return Peer(std::move(socket));
    }

    /// As much as fits; the rest is the caller's.
    std::size_t send(std::string_view bytes) {
        const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        return sent < 0 ? 0 : static_cast<std::size_t>(sent);
    }

    /// What has arrived so far.
    std::string receive() {
        std::string text;
        char chunk[16384];
        for (;;) {
            const ssize_t got = ::recv(socket_.get(), chunk, sizeof chunk, 0);
            if (got > 0) text.append(chunk, static_cast<std::size_t>(got));
            if (got == 0) ended_ = true;
            if (got < 0 && errno != EAGAIN) reset_ = true;
            if (got <= 0) return text;
        }
    }

    void half_close() { ::shutdown(socket_.get(), SHUT_WR); }
    void close() { socket_.reset(); }
    [[nodiscard]] int fd() const { return socket_.get(); }
    /// receive() has seen the server's end of stream, or a reset.
    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] bool reset() const { return reset_; }

  private:
    UniqueFd socket_;
    bool ended_ = false;
    bool reset_ = false;
};

/// An engine with one service; connections come from socket pairs.
struct EngineFixture {
    explicit EngineFixture(ScriptedService::Script script) : service(std::move(script)) {
        worker::ListenerSetup setup;
        setup.socket = listening_socket();
        setup.name = "test";
        setup.service_name = "scripted";
        setup.service = &service;
        listener = setup.socket.get();
        engine.add_listener(std::move(setup));
    }

    /// A connection over a pair of unix sockets.
    Peer connect() {
        int ends[2];
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) ==
                      0);
        Peer peer{UniqueFd(ends[0])};
        engine.adopt(UniqueFd(ends[1]));
        return peer;
    }

    /// Runs until `condition` holds; fails the test after 10 s.
    template <class Condition>
    void run_until(Condition condition) {
        bool too_late = false;
        boost::asio::steady_timer limit(engine.context(), seconds(10));
        limit.async_wait([&too_late](const error_code& error) { too_late = !error; });
        while (!condition()) {
            engine.run_one();
            BOOST_REQUIRE_MESSAGE(!too_late, "nothing happened in 10 s");
        }
        limit.cancel();
        engine.poll();
    }

    /// Runs all that can run now.
    void settle() {
        while (engine.poll() != 0) {
        }
    }

    MemoryLog log;
    ScriptedService service;
    worker::Engine engine{log.logger, worker::Ticking::by_hand};
    int listener = -1;
};

}  // namespace preforkd::test
