#include "worker/peer_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <boost/test/unit_test.hpp>

using preforkd::worker::PeerAddress;

namespace {

PeerAddress ipv4(const char* ip, std::uint16_t port) {
    sockaddr_storage storage{};
    auto& address = reinterpret_cast<sockaddr_in&>(storage);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    BOOST_REQUIRE(::inet_pton(AF_INET, ip, &address.sin_addr) == 1);
    return PeerAddress(storage);
}

PeerAddress ipv6(const char* ip, std::uint16_t port) {
    sockaddr_storage storage{};
    auto& address = reinterpret_cast<sockaddr_in6&>(storage);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    BOOST_REQUIRE(::inet_pton(AF_INET6, ip, &address.sin6_addr) == 1);
    return PeerAddress(storage);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(peer_address)

BOOST_AUTO_TEST_CASE(addresses_are_rendered_as_people_write_them) {
    BOOST_TEST(ipv4("127.0.0.1", 80).render() == "127.0.0.1:80");
    BOOST_TEST(ipv4("255.100.99.10", 65535).render() == "255.100.99.10:65535");
    BOOST_TEST(ipv4("0.0.0.0", 0).render() == "0.0.0.0:0");
    BOOST_TEST(ipv6("2001:db8::1", 443).render() == "[2001:db8::1]:443");
    BOOST_TEST(ipv6("::ffff:192.0.2.7", 9).render() == "192.0.2.7:9");
    BOOST_TEST(PeerAddress().render() == "unix");
    BOOST_TEST(ipv6("2001:db8::1", 443).port() == 443);
}

BOOST_AUTO_TEST_CASE(every_byte_value_is_rendered_in_decimal) {
    for (int value = 0; value < 256; ++value) {
        const std::string ip = "10.0." + std::to_string(value) + ".1";
        char text[46];
        const std::size_t size = ipv4(ip.c_str(), 1).render_ip(text);
        BOOST_REQUIRE_EQUAL(std::string(text, size), ip);
    }
}

BOOST_AUTO_TEST_SUITE_END()
