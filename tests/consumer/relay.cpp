// Passes each line of its clients on to another server, and that one's answer back: a service that
// makes connections of its own, with Asio.

#include <netdb.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <memory>
#include <preforkd/asio.hpp>
#include <preforkd/service.hpp>
#include <stdexcept>

namespace asio = boost::asio;
using boost::system::error_code;
using preforkd::LogLevel;
using preforkd::use_task;

class Relay : public preforkd::Service {
  public:
    struct Options {
        std::string host;
        std::uint16_t port;
        std::chrono::milliseconds patience;
    };
    static constexpr const char* doc = "Passes lines on to another server, and its answers back.";
    static constexpr preforkd::SandboxNeeds needs{.connects = true};
    static std::vector<preforkd::KeySpec> keys();

    void start(preforkd::ServiceContext& context) override;
    preforkd::task<void> serve(preforkd::Connection& client) override;

  private:
    using Socket = asio::ip::tcp::socket;
    class Patience;

    preforkd::task<error_code> ask(Socket& backend, std::string& text);

    Options options_;
    asio::ip::tcp::endpoint backend_;
};

std::vector<preforkd::KeySpec> Relay::keys() {
    using namespace std::chrono_literals;
    return {
        preforkd::Key<std::string>{.name = "host",
                                   .field = &Options::host,
                                   .required = true,
                                   .example = "127.0.0.1",
                                   .doc = "The other server, by name or number."},
        preforkd::Key<std::uint16_t>{.name = "port",
                                     .field = &Options::port,
                                     .min = 1,
                                     .required = true,
                                     .example = "7007",
                                     .doc = "Its port."},
        preforkd::Key<std::chrono::milliseconds>{.name = "patience",
                                                 .field = &Options::patience,
                                                 .def = 5s,
                                                 .min = 10ms,
                                                 .max = 1min,
                                                 .doc = "How long it may take to answer a line."},
    };
}

/// The place to look names up: it may block, and the worker is not confined yet.
void Relay::start(preforkd::ServiceContext& context) {
    options_ = context.options<Options>();
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    const int error = ::getaddrinfo(options_.host.c_str(), nullptr, &hints, &found);
    if (error != 0)
        throw std::runtime_error("host '" + options_.host + "': " + ::gai_strerror(error));
    backend_.resize(found->ai_addrlen);
    std::memcpy(backend_.data(), found->ai_addr, found->ai_addrlen);
    backend_.port(options_.port);
    ::freeaddrinfo(found);
}

/// Ends what a socket waits for when it takes too long. The timer's handler may run after all else
/// has gone, so it shares the socket.
class Relay::Patience {
  public:
    Patience(std::shared_ptr<Socket> socket, std::chrono::milliseconds limit)
        : timer_(preforkd::executor(), limit) {
        timer_.async_wait([socket = std::move(socket)](error_code cancelled) {
            if (!cancelled) socket->cancel();
        });
    }

  private:
    asio::steady_timer timer_;
};

/// Sends `text` and puts the answering line in its place.
preforkd::task<error_code> Relay::ask(Socket& backend, std::string& text) {
    const auto question = asio::buffer(text);
    const auto [unsent, sent] = co_await asio::async_write(backend, question, use_task);
    if (unsent) co_return unsent;
    text.clear();
    auto answer = asio::dynamic_buffer(text);
    const auto [failed, size] = co_await asio::async_read_until(backend, answer, '\n', use_task);
    co_return failed;
}

preforkd::task<void> Relay::serve(preforkd::Connection& client) {
    const auto backend = std::make_shared<Socket>(preforkd::executor());
    error_code error;
    {
        const Patience patience(backend, options_.patience);
        error = co_await backend->async_connect(backend_, use_task);
    }
    while (!error) {
        auto line = co_await client.read_line();
        if (!line) co_return;
        *line += '\n';
        {
            const Patience patience(backend, options_.patience);
            error = co_await ask(*backend, *line);
        }
        if (!error) co_await client.write(*line);
    }
    client.log(LogLevel::warning, "backend: " + error.message());
    co_await client.write("the other server is out of reach\n");
}

int main(int argc, char** argv) {
    return preforkd::run(argc, argv, {preforkd::service<Relay>("relay")});
}
