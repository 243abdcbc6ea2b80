#include "shared/notify.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <string>

using namespace preforkd;

BOOST_AUTO_TEST_SUITE(notify)

BOOST_AUTO_TEST_CASE(a_state_reaches_a_manager_in_the_abstract_space) {
    const std::string name = "preforkd-notify-test-" + std::to_string(::getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path + 1, name.size());
    const UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    BOOST_REQUIRE(
        ::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) == 0);
    const auto notifier = Notifier::connect("@" + name);
    BOOST_REQUIRE(notifier.has_value());
    notifier->send("READY=1");
    char text[64];
    const ssize_t size = ::recv(manager.get(), text, sizeof text, 0);
    BOOST_TEST(std::string(text, static_cast<std::size_t>(size)) == "READY=1");
}

BOOST_AUTO_TEST_CASE(an_address_that_is_neither_path_nor_abstract_is_refused) {
    BOOST_TEST(Notifier::connect("relative").error().value() == EINVAL);
    BOOST_TEST(Notifier::connect("").error().value() == EINVAL);
    BOOST_TEST(Notifier::connect("/" + std::string(200, 'x')).error().value() == EINVAL);
    BOOST_TEST(Notifier::connect("/nowhere/at/all").error().value() == ENOENT);
}

BOOST_AUTO_TEST_CASE(the_watchdog_counts_only_when_it_is_ours) {
    using std::chrono::microseconds;
    const std::string own = std::to_string(::getpid());
    BOOST_TEST((watchdog_timeout("30000000", own) == microseconds(30'000'000)));
    BOOST_TEST((watchdog_timeout("30000000", "") == microseconds(30'000'000)));
    BOOST_TEST(!watchdog_timeout("30000000", "1234567"));
    BOOST_TEST(!watchdog_timeout("", ""));
    BOOST_TEST(!watchdog_timeout("0", own));
    BOOST_TEST(!watchdog_timeout("12x", own));
}

BOOST_AUTO_TEST_SUITE_END()
