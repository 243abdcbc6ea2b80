#include <boost/test/unit_test.hpp>

#include "client.hpp"
#include "daemon.hpp"

using namespace preforkd::testing;

BOOST_AUTO_TEST_SUITE(startup)

BOOST_AUTO_TEST_CASE(a_started_server_serves_and_leaves_nothing) {
    Daemon server;
    server.start();
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_launched_server_serves_and_leaves_nothing) {
    Daemon server;
    server.launch();
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
