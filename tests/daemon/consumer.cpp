#include <sys/socket.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "client.hpp"
#include "daemon.hpp"
#include "deadline.hpp"
#include "program.hpp"
#include "shared/unique_fd.hpp"
#include "variant.hpp"

// Programs of tests/consumer, which were built outside this tree against an installed copy of the
// library: each is a whole daemon. PREFORKD_CONSUMERS names their folder; see tests/consumer.cmake.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::UniqueFd;

namespace {

std::string folder_of_programs() {
    const char* const folder = std::getenv("PREFORKD_CONSUMERS");
    return folder == nullptr ? "" : folder;
}

boost::test_tools::assertion_result needs_programs(boost::unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(!folder_of_programs().empty());
    result.message() << "needs PREFORKD_CONSUMERS";
    return result;
}

Setup setup_of(const std::string& program, const std::string& sections) {
    Setup setup;
    setup.name = program;
    setup.sections = sections;
    return setup;
}

/// A server of one of the programs.
class Consumer : TestedProgram, public Daemon {
  public:
    Consumer(const std::string& program, const std::string& sections)
        : TestedProgram(folder_of_programs() + "/" + program),
          Daemon(setup_of(program, sections)) {}
};

/// The program run to its end.
Outcome run_program(const std::string& program, const std::vector<std::string>& arguments) {
    Command command;
    command.program = folder_of_programs() + "/" + program;
    command.arguments = {program};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    command.environment = sanitizer_options();
    return finish(execute(command));
}

std::string values_in(const Daemon& server) {
    return "file = " + (server.folder() / "values") + "\n";
}

/// A server of key-value pairs with its file beside its configuration.
struct KeyValueServer {
    Consumer server{"kvd", ""};

    explicit KeyValueServer(const std::string& more = "") { configure(more); }
    void configure(const std::string& more) {
        server.configure(listener("kv", "keyvalue", values_in(server) + more));
    }
    [[nodiscard]] Client client() { return Client(server.address("kv")); }
};

/// A server that tests answer for themselves.
struct Backend {
    UniqueFd listening = listen_at(own_ip() + ":0");

    [[nodiscard]] std::string keys() const {
        const std::string address = address_of(listening);
        const auto colon = address.rfind(':');
        return "host = " + address.substr(0, colon) + "\nport = " + address.substr(colon + 1) +
               "\n";
    }
    [[nodiscard]] UniqueFd accept() const {
        BOOST_REQUIRE(wait_for(listening.get(), POLLIN, Deadline()));
        return UniqueFd(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
};

std::string receive_some(const UniqueFd& socket) {
    char chunk[256];
    BOOST_REQUIRE(wait_for(socket.get(), POLLIN, Deadline()));
    const ssize_t size = ::recv(socket.get(), chunk, sizeof chunk, 0);
    return {chunk, static_cast<std::size_t>(size > 0 ? size : 0)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(consumer, *precondition(needs_programs))

BOOST_AUTO_TEST_CASE(
    a_program_is_served_without_a_file_and_upgraded_and_controlled_as_preforkd_is) {
    const ProgramFolder place;
    std::filesystem::copy_file(folder_of_programs() + "/hellod", place.program);
    Daemon server(executing(setup_of("hellod", listener("hello", "hello")), place.program));
    server.start();
    BOOST_TEST(Client(server.address("hello")).ask("you") == "hello, you");
    std::filesystem::copy_file(folder_of_programs() + "/hellod", place.program + ".next");
    std::filesystem::rename(place.program + ".next", place.program);
    const auto control = [&](const std::vector<std::string>& order) {
        const Outcome outcome = run_preforkctl(server.lock_file(), order);
        BOOST_TEST(outcome.exit == exited(0), outcome.printed);
        return outcome.printed;
    };
    BOOST_TEST(holds_all(control({"upgrade", "--wait"}), {"upgrade ok: generation 2"}));
    BOOST_TEST(holds_all(control({"reload", "--wait"}), {"reload ok: generation 3"}));
    BOOST_TEST(holds_all(control({"status"}), {"hellod ", "generation 3", "hello "}));
    BOOST_TEST(Client(server.address("hello")).ask("again") == "hello, again");
    BOOST_TEST(holds_all(control({"stop"}), {"has stopped"}));
    BOOST_TEST(server.outcome().exit == exited(0));
}

BOOST_AUTO_TEST_CASE(ten_lines_are_a_whole_daemon) {
    Consumer server("hellod", listener("hello", "hello"));
    server.launch();
    const std::string address = server.address("hello");
    BOOST_TEST(title_of(server.pid()) == "hellod: master");
    Client early(address);
    BOOST_TEST(early.ask("you") == "hello, you");
    server.send(SIGHUP);
    server.wait_for_line({"reload ok", "generation=2"});
    BOOST_TEST(early.receive_rest() == "");
    BOOST_TEST(Client(address).ask("again") == "hello, again");
    server.stop();
}

BOOST_AUTO_TEST_CASE(too_long_a_line_costs_its_sender_the_connection_and_nobody_else) {
    Consumer server("hellod", listener("hello", "hello"));
    server.start();
    Client other(server.address("hello"));
    BOOST_TEST(other.ask("you") == "hello, you");
    {
        Client talker(server.address("hello"));
        talker.send(std::string(10000, 'x'));
        BOOST_TEST(talker.receive_rest() == "");
    }
    server.wait_for_line({"message too long; connection closed", "service=hello", "peer=127."});
    BOOST_TEST(other.ask("again") == "hello, again");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_program_helps_with_its_own_services_and_keys) {
    const Outcome hello = run_program("hellod", {"--help"});
    BOOST_TEST(hello.exit == exited(0));
    BOOST_TEST(holds_all(hello.printed, {"hellod SERVICE ADDRESS", "  hello "}), hello.printed);
    BOOST_TEST(!holds_all(hello.printed, {"service = http"}), hello.printed);
    const Outcome keyvalue = run_program("kvd", {"--help"});
    BOOST_TEST(holds_all(keyvalue.printed,
                         {"A key-value store that remembers", "More keys with service = keyvalue",
                          "max_value", "The longest value that is taken.", "Default: 1k"}),
               keyvalue.printed);
}

BOOST_AUTO_TEST_CASE(faults_of_a_programs_own_keys_are_told_with_their_lines) {
    Consumer server("kvd", listener("kv", "keyvalue", "max_value = 5k\nsynk = yes\n"));
    const Outcome outcome = run_program("kvd", {"-t", "-c", server.config_file()});
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(holds_all(outcome.printed,
                         {"kvd: ", "test.conf:8: listen.kv: max_value: '5k' is out of range",
                          "test.conf:9: listen.kv: unknown key 'synk'; did you mean 'sync'?",
                          "listen.kv: the key 'file' is missing"}),
               outcome.printed);
}

BOOST_AUTO_TEST_CASE(what_one_worker_was_told_all_know_and_a_reload_and_a_restart_keep) {
    KeyValueServer kv("sync = yes\n");
    kv.server.start();
    BOOST_TEST(kv.client().ask("set colour deep blue") == "ok");
    // Enough connections that each of both workers gets some.
    for (int i = 0; i < 16; ++i) BOOST_TEST(kv.client().ask("get colour") == "deep blue");
    kv.server.send(SIGHUP);
    kv.server.wait_for_line({"reload ok", "generation=2"});
    Client client = kv.client();
    BOOST_TEST(client.ask("get colour") == "deep blue");
    BOOST_TEST(client.ask("set colour red") == "ok");
    client.send("quit\n");
    BOOST_TEST(client.receive_rest() == "");
    kv.server.stop();
    kv.server.start();
    BOOST_TEST(kv.client().ask("get colour") == "red");
    kv.server.stop();
}

BOOST_AUTO_TEST_CASE(a_services_own_numbers_survive_its_workers) {
    KeyValueServer kv;
    kv.server.start();
    const auto metrics = [&] {
        const Outcome outcome = run_preforkctl(kv.server.lock_file(), {"metrics"});
        BOOST_TEST(outcome.exit == exited(0));
        return outcome.printed;
    };
    for (const char* const value : {"blue", "red", "green"})
        BOOST_TEST(kv.client().ask(std::string("set colour ") + value) == "ok");
    BOOST_TEST(holds_all(metrics(), {"# TYPE preforkd_keyvalue_sets_total counter\n",
                                     "preforkd_keyvalue_sets_total{listener=\"kv\"} 3\n",
                                     "# TYPE preforkd_keyvalue_bytes gauge\n"}));
    BOOST_TEST(holds_all(run_preforkctl(kv.server.lock_file(), {"status"}).printed,
                         {"COUNTED", "kv", "sets", "bytes"}));
    const auto old = kv.server.workers();
    kv.server.send(SIGHUP);
    kv.server.wait_for_line({"reload ok"});
    for (const pid_t pid : old) kv.server.wait_for_line({"worker exited", std::to_string(pid)});
    // Both new workers have read the file: "colour" and "green", twice.
    BOOST_TEST(holds_all(metrics(), {"preforkd_keyvalue_sets_total{listener=\"kv\"} 3\n",
                                     "preforkd_keyvalue_bytes{listener=\"kv\"} 22\n"}),
               metrics());
    kv.server.stop();
}

BOOST_AUTO_TEST_CASE(a_reload_changes_a_services_own_key) {
    KeyValueServer kv;
    kv.server.start();
    const std::string long_value(2000, 'v');
    BOOST_TEST(kv.client().ask("set key " + long_value) == "too long");
    kv.configure("max_value = 2k\n");
    kv.server.send(SIGHUP);
    kv.server.wait_for_line({"reload ok"});
    BOOST_TEST(kv.client().ask("set key " + long_value) == "ok");
    kv.server.stop();
}

BOOST_AUTO_TEST_CASE(a_service_passes_lines_on_over_connections_of_its_own) {
    const Backend backend;
    Consumer server("relayd", listener("relay", "relay", backend.keys()));
    server.start();
    Client client(server.address("relay"));
    client.send("question\n");
    const UniqueFd relayed = backend.accept();
    BOOST_TEST(receive_some(relayed) == "question\n");
    BOOST_REQUIRE(::send(relayed.get(), "answer\n", 7, MSG_NOSIGNAL) == 7);
    BOOST_TEST(client.receive_line() == "answer");
    client.shutdown_write();
    BOOST_TEST(client.receive_rest() == "");
    BOOST_TEST(receive_some(relayed) == "");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_backend_that_does_not_answer_costs_its_clients_patience_and_no_more) {
    const Backend backend;
    Consumer server("relayd", listener("relay", "relay", backend.keys() + "patience = 100ms\n"));
    server.start();
    Client client(server.address("relay"));
    BOOST_TEST(client.ask("question") == "the other server is out of reach");
    server.wait_for_line({"backend: Operation canceled", "service=relay", "listener=relay",
                          "peer=" + own_ip().substr(0, 3)});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_start_that_fails_in_a_reload_cancels_it_with_its_message) {
    const Backend backend;
    Consumer server("relayd", listener("relay", "relay", backend.keys()));
    server.start();
    server.configure(listener("relay", "relay", "host = no such host\nport = 1\n"));
    server.send(SIGHUP);
    server.wait_for_line({"reload refused", "host 'no such host'"});
    Client client(server.address("relay"));
    client.send("still there\n");
    BOOST_TEST(receive_some(backend.accept()) == "still there\n");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
