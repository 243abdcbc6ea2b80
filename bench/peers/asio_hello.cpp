// hellod's protocol as a C++ programmer writes it without preforkd: plain Asio, one coroutine for
// each connection, one process, one thread.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

asio::awaitable<void> greet(tcp::socket socket) {
    std::string unread;
    try {
        while (true) {
            const std::size_t length = co_await asio::async_read_until(
                socket, asio::dynamic_buffer(unread, 4096), '\n', asio::use_awaitable);
            const std::string answer = "hello, " + unread.substr(0, length);
            unread.erase(0, length);
            co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
        }
    } catch (const boost::system::system_error&) {
        // the client has left
    }
}

asio::awaitable<void> serve(tcp::acceptor& acceptor) {
    while (true) {
        tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
        socket.set_option(tcp::no_delay(true));
        asio::co_spawn(acceptor.get_executor(), greet(std::move(socket)), asio::detached);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: asio_hello PORT\n");
        return 2;
    }
    asio::io_context context(1);
    const auto port = static_cast<unsigned short>(std::atoi(argv[1]));
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), port});
    asio::co_spawn(context, serve(acceptor), asio::detached);
    context.run();
}
