#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "attacks.hpp"
#include "client.hpp"
#include "needs_root.hpp"
#include "needs_sandbox.hpp"
#include "shared/kernel_sandbox.hpp"
#include "victim.hpp"

// What a service's declared need opens to an attacker in its worker: what it is for, and no more.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::UniqueFd;

namespace {

/// One whose service, "needy", declares a need, and who holds a folder, a data file and a log.
struct NeedyVictim {
    TempFolder folder;
    std::string data = folder / "data", log = folder / "access.log";
    Victim victim;

    explicit NeedyVictim(const std::string& probe)
        : victim("access_log = " + log + "\n",
                 listener("needy", probe, "workers = 1\nroot = /\ndata = " + data + "\n")) {}

    /// `other`: what is answered in another way, by the attacks' names.
    void check_all(const std::vector<Attack>& all, const std::map<std::string, int>& other = {}) {
        for (Attack attack : all) {
            if (const auto found = other.find(attack.name); found != other.end())
                attack.error = found->second;
            victim.check(attack, "needy");
        }
    }
};

const std::map<std::string, int> refused_with_threads{{"clone3", ENOSYS},
                                                      {"open_passwd", EACCES},
                                                      {"create_in_tmp", EACCES},
                                                      {"open_beside_data", EACCES}};

std::string content_of(const std::string& path) {
    std::ostringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
}

/// Nobody but a confined worker would find nobody there.
UniqueFd listen_abstractly(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    BOOST_REQUIRE(
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) == 0);
    BOOST_REQUIRE(::listen(socket.get(), 1) == 0);
    return socket;
}

/// A server whose service connects, at these addresses and then at a unix socket, over which an
/// accomplice asks for the first listening socket.
struct Accomplice {
    TempFolder folder;
    std::string socket_path = folder / "socket";
    Daemon server;
    UniqueFd connection, listener;

    explicit Accomplice(const std::string& addresses, const std::string& keys = "")
        : server({.keys = keys,
                  .sections = "[listen.needy]\nservice = connecting-probe\nroot = /\n" + addresses +
                              "address = unix:" + socket_path + "\n",
                  .probe = true}) {
        std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
        server.start();
    }
    void get_listener() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
        connection.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        BOOST_REQUIRE(::connect(connection.get(), reinterpret_cast<sockaddr*>(&address),
                                sizeof address) == 0);
        const std::string order = "pass_listener\n";
        BOOST_REQUIRE(::send(connection.get(), order.data(), order.size(), 0) > 0);
        char bytes[8];
        iovec part{bytes, sizeof bytes};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        BOOST_REQUIRE(::recvmsg(connection.get(), &header, MSG_CMSG_CLOEXEC) > 0);
        BOOST_REQUIRE(CMSG_FIRSTHDR(&header) != nullptr);
        int received = -1;
        std::memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof received);
        listener.reset(received);
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(sandbox_needs, *precondition(needs_sandbox))

BOOST_AUTO_TEST_CASE(a_service_that_connects_can_listen_nowhere_nor_reach_abstract_sockets) {
    NeedyVictim needy("connecting-probe");
    const UniqueFd neighbour = listen_abstractly(abstract_name(needy.victim.server.pid()));
    needy.check_all(attacks(), {{"socket", allowed}, {"socket_unix", allowed}});
    const bool is_scoped = preforkd::ask_kernel_for_sandbox().landlock >= 6;
    needy.check_all(attacks_on_connecting(), {{"connect_abstract", is_scoped ? EPERM : allowed}});
    needy.victim.server.stop();
}

// A worker connected to its own unix socket, sent itself the listening one, and put the receiving
// end in the channel's place, where messages may be received. The copy had a number that nobody
// guarded, and after shutdown(2) on it all workers' clients were refused.
BOOST_AUTO_TEST_CASE(a_service_that_connects_cannot_take_its_own_unix_socket_down) {
    const TempFolder folder;
    std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
    Victim victim("", "[listen.needy]\nservice = connecting-probe\naddress = unix:" +
                          (folder / "socket") + "\nworkers = 1\nroot = /\n");
    for (const Attack& attack : attacks_on_unix_listener()) victim.check(attack, "needy");
    victim.server.stop();
}

// Every client of all workers was refused until somebody restarted the server, and a reload called
// that ok. Each kind of listener looks different when it is shut down.
BOOST_AUTO_TEST_CASE(a_listening_socket_that_an_accomplice_shuts_down_is_bound_anew) {
    const std::string tcp = "address = " + own_ip() + ":0\n";
    for (const auto& [addresses, keys] : {std::pair<std::string, std::string>{"", "workers = 2\n"},
                                          {tcp, "workers = 3\n"},
                                          {tcp, "workers = 2\naccept = shared\n"}}) {
        Accomplice accomplice(addresses, keys);
        const std::string address = accomplice.server.address("needy");
        accomplice.get_listener();
        accomplice.server.mark();
        BOOST_TEST(::shutdown(accomplice.listener.get(), SHUT_RDWR) == 0);
        accomplice.server.wait_for_line({" error ", "it is bound anew", address});
        for (int client = 0; client < 20; ++client) BOOST_TEST(Client(address).ask("pid") != "");
        accomplice.connection.reset();
        accomplice.server.stop();
    }
}

BOOST_AUTO_TEST_CASE(a_reload_binds_anew_what_was_shut_down_before_it_is_ok) {
    Accomplice accomplice("address = " + own_ip() + ":0\n", "workers = 1\n");
    Daemon& server = accomplice.server;
    const std::string address = server.address("needy");
    accomplice.get_listener();
    const pid_t worker = server.worker("main/0");  // it can't tell
    BOOST_TEST(::kill(worker, SIGSTOP) == 0);
    server.wait_for_line({"worker hangs"});
    BOOST_TEST(::shutdown(accomplice.listener.get(), SHUT_RDWR) == 0);
    server.mark();
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(server.count_lines({"it is bound anew", address}) == 1u);
    BOOST_TEST(Client(address).ask("pid") != "");
    BOOST_TEST(::kill(worker, SIGCONT) == 0);
    accomplice.connection.reset();
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_service_that_writes_files_writes_its_own_and_changes_no_log) {
    const std::string first = "the first line\n";
    NeedyVictim needy("writing-probe");
    std::ofstream(needy.log) << first;
    needy.check_all(attacks());
    needy.check_all(attacks_on_writing());
    BOOST_TEST(content_of(needy.data) == "x");
    BOOST_TEST(content_of(needy.log) == first + "x");
    needy.victim.server.stop();
}

BOOST_AUTO_TEST_CASE(a_service_that_starts_threads_starts_no_processes) {
    NeedyVictim needy("thread-probe");
    needy.check_all(attacks(), refused_with_threads);
    needy.check_all(attacks_on_threads());
    needy.victim.server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_of_the_board_reaches_its_two_files_and_nothing_beside_them) {
    NeedyVictim needy("board-probe");
    needy.check_all(attacks_on_writing(), refused_with_threads);
    needy.check_all(attacks_on_threads());
    needy.victim.server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_of_the_board_holds_its_two_files_and_nothing_beside_them,
                     *precondition(needs_root)) {
    const TempFolder data;
    Daemon server({.keys = "workers = 1\n",
                   .sections = listener("board", "board", "file = " + (data / "bb") + "\n")});
    server.start();
    std::set<std::string> held;
    for (const auto& [number, target] : descriptors_of(server.worker("main/0")))
        if (target.starts_with(data.path())) held.insert(target);
    BOOST_TEST((held == std::set<std::string>{data / "bb", data / "bb-lock"}));
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
