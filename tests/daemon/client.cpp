#include "client.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "deadline.hpp"
#include "shared/address.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::testing {
namespace {

Address parse(const std::string& text) {
    const ParsedAddress parsed =
        parse_address(text, "/", [](const std::string&, std::uint16_t) { return ParsedAddress{}; });
    BOOST_REQUIRE_MESSAGE(parsed.addresses.size() == 1, text << " is not one address");
    return parsed.addresses.front();
}

UniqueFd open_socket(const Address& address) {
    UniqueFd socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    BOOST_REQUIRE(socket.is_open());
    return socket;
}

}  // namespace

Client::Client(const std::string& address) {
    const Address parsed = parse(address);
    socket_ = open_socket(parsed);
    const bool connected = ::connect(socket_.get(), parsed.get(), parsed.length) == 0;
    const auto error = last_error();
    BOOST_REQUIRE_MESSAGE(connected, "can't connect to " << address << ": " << error.message());
}

void Client::send(std::string_view bytes) {
    BOOST_REQUIRE(try_send(bytes));
}

bool Client::try_send(std::string_view bytes) {
    return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
}

bool Client::receive_more() {
    if (ended_) return false;
    BOOST_REQUIRE_MESSAGE(wait_for(socket_.get(), POLLIN, Deadline()),
                          "no answer; so far: '" << received_ << "'");
    char chunk[4096];
    const ssize_t size = ::recv(socket_.get(), chunk, sizeof chunk, 0);
    if (size > 0) received_.append(chunk, static_cast<std::size_t>(size));
    ended_ = size <= 0;
    return !ended_;
}

std::string Client::receive_line() {
    auto line = try_receive_line();
    BOOST_REQUIRE_MESSAGE(line, "connection ended after '" << received_ << "'");
    return std::move(*line);
}

std::optional<std::string> Client::try_receive_line() {
    std::size_t end = 0;
    while ((end = received_.find('\n')) == std::string::npos)
        if (!receive_more()) return std::nullopt;
    std::string line = received_.substr(0, end);
    received_.erase(0, end + 1);
    return line;
}

std::string Client::receive(std::size_t size) {
    while (received_.size() < size)
        BOOST_REQUIRE_MESSAGE(receive_more(), "connection ended after '" << received_ << "'");
    std::string bytes = received_.substr(0, size);
    received_.erase(0, size);
    return bytes;
}

std::string Client::receive_rest() {
    while (receive_more()) {
    }
    return std::exchange(received_, {});
}

void Client::shutdown_write() const {
    ::shutdown(socket_.get(), SHUT_WR);
}

int try_to_connect(const std::string& address) {
    const Address parsed = parse(address);
    const UniqueFd socket = open_socket(parsed);
    return ::connect(socket.get(), parsed.get(), parsed.length) == 0 ? 0 : errno;
}

UniqueFd listen_at(const std::string& address) {
    const Address parsed = parse(address);
    UniqueFd socket = open_socket(parsed);
    BOOST_REQUIRE_MESSAGE(
        ::bind(socket.get(), parsed.get(), parsed.length) == 0 && ::listen(socket.get(), 16) == 0,
        "can't listen at " << address << ": " << last_error().message());
    return socket;
}

std::string address_of(const UniqueFd& socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    BOOST_REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    return make_address(reinterpret_cast<const sockaddr*>(&address), size).text;
}

}  // namespace preforkd::testing
