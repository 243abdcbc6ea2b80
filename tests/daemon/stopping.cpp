#include <boost/test/unit_test.hpp>
#include <csignal>

#include "client.hpp"
#include "daemon.hpp"
#include "gate.hpp"

// TERM drains; a second one, INT and QUIT end at once.

using namespace preforkd::testing;

namespace {

Setup one_worker() {
    return {.keys = "workers = 1\ndrain_timeout = 1h\nkeepalive_grace = 0s\n",
            .sections = listener("echo", "probe"),
            .probe = true};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stopping)

BOOST_AUTO_TEST_CASE(term_lets_a_session_finish_its_message) {
    Daemon server(one_worker());
    server.launch();
    Client client(server.address());
    BOOST_TEST(client.ask("hello") == "hello");
    client.send("in the middle ");
    server.send(SIGTERM);
    server.wait_for_line({"stopping"});
    server.wait_for_line({"worker drains", "slot=main/0"});
    client.send("of a message\n");
    BOOST_TEST(client.receive_rest() == "in the middle of a message\n");
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(term_refuses_new_connections) {
    Daemon server(one_worker());
    server.launch();
    Client idle(server.address());
    BOOST_TEST(idle.ask("hello") == "hello");
    Client busy(server.address());
    busy.send("in the middle ");
    BOOST_TEST(idle.ask("hello again") == "hello again");  // so busy's bytes are there, too
    server.send(SIGTERM);
    BOOST_TEST(idle.receive_rest() == "");  // so by now it drains
    server.wait_for_line({"listener closed"});
    BOOST_TEST(try_to_connect(server.address()) == ECONNREFUSED);
    busy.send("of a message\n");
    BOOST_TEST(busy.receive_rest() == "in the middle of a message\n");
    BOOST_TEST(server.outcome().exit == exited(0));
}

BOOST_AUTO_TEST_CASE(a_second_term_ends_at_once) {
    Daemon server(one_worker());
    server.launch();
    Client client(server.address());
    BOOST_TEST(client.ask("hello") == "hello");
    client.send("never to be finished ");
    server.send(SIGTERM);
    server.wait_for_line({"worker drains"});
    server.send(SIGTERM);
    BOOST_TEST(client.receive_rest() == "");
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(int_and_quit_end_at_once) {
    for (const int signal : {SIGINT, SIGQUIT}) {
        Daemon server(one_worker());
        server.launch();
        Client client(server.address());
        BOOST_TEST(client.ask("hello") == "hello");
        client.send("never to be finished ");
        server.send(signal);
        BOOST_TEST(client.receive_rest() == "");
        BOOST_TEST(server.outcome().exit == exited(0));
        server.check_nothing_left();
    }
}

BOOST_AUTO_TEST_CASE(the_drain_timeout_cuts_what_never_ends) {
    Setup setup = one_worker();
    setup.keys = "workers = 1\ndrain_timeout = 1s\n";
    Daemon server(setup);
    server.launch();
    Client client(server.address());
    BOOST_TEST(client.ask("hello") == "hello");
    client.send("never to be finished ");
    server.send(SIGTERM);
    server.wait_for_line({"drain timed out", "connections=1"});
    BOOST_TEST(client.receive_rest() == "");
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(a_worker_that_hangs_in_its_drain_is_killed) {
    Setup setup = one_worker();
    setup.keys = "workers = 1\ndrain_timeout = 1s\n";
    Daemon server(setup);
    server.launch();
    const pid_t worker = server.worker("main/0");
    Process(worker).send(SIGSTOP);
    server.send(SIGTERM);
    server.wait_for_line({"worker is killed", "worker=" + std::to_string(worker),
                          "had not finished within drain_timeout"});
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(a_stop_during_a_reload_stops_both_generations) {
    Gate gate;
    Daemon server(one_worker());
    server.launch();
    server.configure(listener("echo", "probe", "gate = " + gate.name() + "\n"));
    server.send(SIGHUP);
    const Visitor newcomer = gate.next();
    server.send(SIGTERM);
    newcomer.process().wait_for_end();
    BOOST_TEST(server.outcome().exit == exited(0));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_SUITE_END()
