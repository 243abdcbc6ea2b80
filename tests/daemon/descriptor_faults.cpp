#include <sys/resource.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <memory>

#include "client.hpp"
#include "daemon.hpp"
#include "needs_root.hpp"
#include "needs_sandbox.hpp"
#include "shared/channel.hpp"
#include "unit/process_support.hpp"

// Descriptors that can't be passed on: because too many are on their way, or for want of a number.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::Message;
using preforkd::UniqueFd;

namespace {

void limit_descriptors(rlim_t most) {
    const rlimit limit{most, most};
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) ::_exit(94);
}

/// So many descriptors of our own user on their way while it lives, for nobody reads them. Who has
/// a lower limit can pass none meanwhile, and gets ETOOMANYREFS. Source: unix(7), SCM_RIGHTS.
class DescriptorsUnderWay {
  public:
    explicit DescriptorsUnderWay(unsigned count) {
        int ends[2];
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0);
        for (int end : {0, 1}) ends_[end].reset(ends[end]);
        const int status = in_child([&] {
            become(user_of_our_own);
            for (unsigned sent = 0; sent < count; ++sent)
                if (send_message(ends_[0], Message{}, STDIN_FILENO)) return 1;
            return 0;
        });
        BOOST_REQUIRE(status == 0);
    }

  private:
    UniqueFd ends_[2];
};

constexpr rlim_t few = 64;

Setup with_few_descriptors() {
    return {.keys = "workers = 1\n", .parent = [] {
                limit_descriptors(few);
                become(user_of_our_own);
            }};
}

const std::vector<std::string> remedy{"it could not be sent what it needs", "Too many references",
                                      "LimitNOFILE="};

}  // namespace

// Without descriptors the sanitizers' own checks fail, so these run without.
BOOST_AUTO_TEST_SUITE(descriptor_faults, *precondition(needs_sandbox))

BOOST_AUTO_TEST_CASE(a_start_that_cannot_pass_them_on_ends_with_the_remedy,
                     *precondition(needs_root)) {
    const DescriptorsUnderWay many(few + 1);
    Daemon server(with_few_descriptors());
    server.give_to(user_of_our_own, user_of_our_own);
    server.begin_launch();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(1));
    BOOST_TEST(holds_all(outcome.printed, remedy), outcome.printed);
    BOOST_TEST(outcome.printed.find("worker main/0 can't start") != std::string::npos);
    server.check_nothing_left();
}

BOOST_AUTO_TEST_CASE(a_reload_that_cannot_pass_them_on_is_refused_and_a_respawn_tried_again,
                     *precondition(needs_root)) {
    Daemon server(with_few_descriptors());
    server.give_to(user_of_our_own, user_of_our_own);
    server.start();
    {
        const DescriptorsUnderWay many(few + 1);
        server.send(SIGHUP);
        const std::string verdict = server.wait_for_line({"reload refused"});
        BOOST_TEST(holds_all(verdict, remedy), verdict);
        server.wait_for_line({"worker is killed", "why=\"it could not be sent what it needs\""});
        BOOST_TEST(Client(server.address()).ask("hello") == "hello");
        server.mark();
        Process(server.worker("main/0 gen 1")).send(SIGKILL);
        for (int tries = 0; tries < 2; ++tries) {
            server.wait_for_line({"can't send a worker what it needs", "LimitNOFILE="});
            server.wait_for_line({"worker is killed", "why=\"it could not be sent"});
            server.mark();
        }
    }
    server.wait_for_line({"worker ready", "slot=main/0"});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    BOOST_TEST(server.inbox().whole_log().find("invalid message") == std::string::npos);
    server.stop();
}

// It took the message without its descriptor for one that isn't its master's, and left.
BOOST_AUTO_TEST_CASE(a_worker_without_a_free_one_keeps_its_logs_and_its_clients,
                     *precondition(needs_root)) {
    constexpr int most = 24;
    Daemon server({.keys = "workers = 1\n",
                   .sections = listener("echo", "probe"),
                   .parent =
                       [] {
                           limit_descriptors(most);
                           become(user_of_our_own);
                       },
                   .probe = true});
    server.give_to(user_of_our_own, user_of_our_own);
    server.start();
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < most; ++i) clients.push_back(std::make_unique<Client>(server.address()));
    const std::string worker = clients.front()->ask("pid");
    server.wait_for_line({"can't accept"});
    server.send(SIGUSR1);
    server.wait_for_line({"no descriptor is free for a log"});
    BOOST_TEST(clients.front()->ask("pid") == worker);
    clients.clear();
    server.send(SIGUSR1);
    server.wait_for_line({"logs reopened"});
    BOOST_TEST(Client(server.address()).ask("pid") == worker);
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
