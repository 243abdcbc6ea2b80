#include "gate.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdio>
#include <stdexcept>

#include "deadline.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::testing {
namespace {

// In the abstract space: nothing of it is left behind, and any user can reach it. unix(7)
struct Name {
    explicit Name(std::string_view text) {
        address.sun_family = AF_UNIX;
        text.copy(address.sun_path + 1, sizeof address.sun_path - 1);
        size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    }
    [[nodiscard]] const sockaddr* get() const {
        return reinterpret_cast<const sockaddr*>(&address);
    }
    sockaddr_un address{};
    socklen_t size = 0;
};

pid_t peer_of(const UniqueFd& connection) {
    ucred peer{};
    socklen_t size = sizeof peer;
    BOOST_REQUIRE(::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0);
    return peer.pid;
}

}  // namespace

Visitor::Visitor(UniqueFd connection)
    : connection_(std::move(connection)), process_(peer_of(connection_)) {}

void Visitor::say(const std::string& order) {
    BOOST_REQUIRE(!write_all(connection_.get(), order + "\n"));
}

Gate::Gate() : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    static int count = 0;
    name_ = "preforkd-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
    const Name address(name_);
    BOOST_REQUIRE(::bind(listener_.get(), address.get(), address.size) == 0);
    BOOST_REQUIRE(::listen(listener_.get(), 64) == 0);
}

Visitor Gate::next() {
    BOOST_REQUIRE_MESSAGE(wait_for(listener_.get(), POLLIN, Deadline()),
                          "no worker comes to the gate");
    UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    BOOST_REQUIRE(connection.is_open());
    return Visitor(std::move(connection));
}

bool Gate::has_visitor() const {
    std::vector<pollfd> entry{{listener_.get(), POLLIN, 0}};
    return ::poll(entry.data(), 1, 0) > 0;
}

std::string wait_at_gate(std::string_view name) {
    const Name address(name);
    const UniqueFd connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(connection.get(), address.get(), address.size) < 0)
        throw std::runtime_error("there is no gate");
    std::string order;
    for (char byte = 0; ::read(connection.get(), &byte, 1) == 1 && byte != '\n';) order += byte;
    if (order.empty()) throw std::runtime_error("the gate is gone");
    return order;
}

}  // namespace preforkd::testing
