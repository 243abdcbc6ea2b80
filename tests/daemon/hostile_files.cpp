#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <tuple>

#include "client.hpp"
#include "daemon.hpp"
#include "needs_root.hpp"

// A neighbour who may write where a path of ours leads puts something else there. What it leads to
// is never written, cut or removed.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

const std::string treasure = "root:x:0:0\n";

std::string content_of(const std::string& path) {
    std::ostringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
}

/// A folder like /tmp, and a file elsewhere that must stay as it is.
struct Neighbourhood {
    TempFolder common, own;
    std::string victim = own / "victim", absent = own / "absent", path = common / "path";

    /// `path` is another one, which is somebody's as well.
    explicit Neighbourhood(std::string other) : Neighbourhood() { path = std::move(other); }

    Neighbourhood() {
        std::ofstream(victim) << treasure;
        BOOST_REQUIRE(::chmod(victim.c_str(), 0600) == 0);
        BOOST_REQUIRE(::chmod(common.path().c_str(), 01777) == 0);
    }
    void check_victim() const {
        struct stat status {};
        BOOST_REQUIRE(::stat(victim.c_str(), &status) == 0);
        BOOST_TEST(content_of(victim) == treasure);
        BOOST_TEST((status.st_mode & 07777) == 0600u);
        BOOST_TEST(status.st_uid == 0u);
        BOOST_TEST(!std::filesystem::exists(absent));
    }
};

void make_device(const std::string& path, unsigned major, unsigned minor) {
    BOOST_REQUIRE(::mknod(path.c_str(), S_IFCHR | 0666, makedev(major, minor)) == 0);
}

/// Root in a container often may not, or has its temporary files where none can be opened.
bool may_make_devices() {
    const TempFolder folder;
    return ::mknod((folder / "null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0 &&
           std::ifstream(folder / "null").is_open();
}

struct Trick {
    const char* name;
    std::function<void(const Neighbourhood&)> play;
};

const std::vector<Trick>& tricks() {
    static const std::vector<Trick> all{
        {"link", [](const auto& here) { std::filesystem::create_symlink(here.victim, here.path); }},
        {"link to nothing",
         [](const auto& here) { std::filesystem::create_symlink(here.absent, here.path); }},
        {"second name",
         [](const auto& here) { std::filesystem::create_hard_link(here.victim, here.path); }},
        {"folder", [](const auto& here) { std::filesystem::create_directory(here.path); }},
        {"fifo", [](const auto& here) { BOOST_REQUIRE(::mkfifo(here.path.c_str(), 0666) == 0); }},
        {"socket",
         [](const auto& here) {
             sockaddr_un address{};
             address.sun_family = AF_UNIX;
             here.path.copy(address.sun_path, sizeof address.sun_path - 1);
             const preforkd::UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
             BOOST_REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                                  sizeof address) == 0);
         }},
        {"somebody's file",
         [](const auto& here) {
             std::ofstream(here.path) << "mine";
             BOOST_REQUIRE(::chown(here.path.c_str(), 1234, 1234) == 0);
         }},
    };
    return all;
}

/// With devices, where only a file or a folder makes sense: a log may be one.
const std::vector<Trick>& tricks_with_devices() {
    static const std::vector<Trick> all = [] {
        std::vector<Trick> list = tricks();
        if (!may_make_devices()) return list;
        // Endless, always full, and one that waits for somebody at its other end.
        for (const auto& [name, major, minor] :
             {std::tuple("zeros", 1u, 5u), {"full", 1u, 7u}, {"terminal", 5u, 2u}})
            list.push_back({name, [major = major, minor = minor](const auto& here) {
                                make_device(here.path, major, minor);
                            }});
        return list;
    }();
    return all;
}

void give_to_neighbour(const std::string& path) {
    BOOST_REQUIRE(::lchown(path.c_str(), nobody, nobody) == 0);
}

void make_folder(const std::string& path, mode_t mode = 0755) {
    BOOST_REQUIRE(::mkdir(path.c_str(), mode) == 0 && ::chmod(path.c_str(), mode) == 0);
}

/// Where a path goes through two folders of the common one that may be a neighbour's.
struct Detour : Neighbourhood {
    std::string way = common / "way", turn = way + "/turn";

    Detour() {
        path = turn + "/absent";
        BOOST_REQUIRE(::chmod(own.path().c_str(), 0755) == 0);
    }
    /// The second one is a link to the folder in which nothing must appear.
    void turn_off() const { std::filesystem::create_directory_symlink(own.path(), turn); }
};

/// Lets the second folder be a link that a neighbour made, or could have put there.
struct Diversion {
    const char* name;
    std::function<void(const Detour&)> play;
};

const std::vector<Diversion>& diversions() {
    static const std::vector<Diversion> all{
        {"their link",
         [](const auto& here) {
             make_folder(here.way, 01777);
             here.turn_off();
             give_to_neighbour(here.turn);
         }},
        {"their link in their folder",
         [](const auto& here) {
             make_folder(here.way);
             here.turn_off();
             give_to_neighbour(here.turn);
             give_to_neighbour(here.way);
         }},
        {"root's link in their folder",
         [](const auto& here) {
             make_folder(here.way);
             here.turn_off();
             give_to_neighbour(here.way);
         }},
        {"root's link in everybody's folder",
         [](const auto& here) {
             make_folder(here.way, 0777);
             here.turn_off();
         }},
    };
    return all;
}

/// With those where a neighbour could only put another folder in the second one's place.
const std::vector<Diversion>& diversions_and_folders() {
    static const std::vector<Diversion> all = [] {
        std::vector<Diversion> list = diversions();
        list.push_back({"root's folder in theirs", [](const auto& here) {
                            make_folder(here.way);
                            make_folder(here.turn);
                            give_to_neighbour(here.way);
                        }});
        list.push_back({"root's folder in everybody's", [](const auto& here) {
                            make_folder(here.way, 0777);
                            make_folder(here.turn);
                        }});
        return list;
    }();
    return all;
}

using Written = std::function<std::string(const std::string&)>;

std::string runtime_folder_of(const Neighbourhood& here) {
    return here.own / "run";
}

/// A start with that path for a key comes to nothing, and says which path it was.
void refuse(const Neighbourhood& here, const Written& configuration,
            const std::string& runtime_folder) {
    const std::string config = here.own / "test.conf";
    std::ofstream(config) << configuration(here.path);
    Command command;
    command.program = "/proc/self/exe";
    command.arguments = {"probed", "-F", "-c", config, "-o", "runtime_dir=" + runtime_folder};
    command.environment = sanitizer_options();
    const Outcome outcome = finish(execute(command));
    BOOST_TEST(outcome.exit.signal == 0);
    BOOST_TEST(outcome.exit.status != 0);
    BOOST_TEST(outcome.printed.find(here.path) != std::string::npos, outcome.printed);
    here.check_victim();
}

void refuse(const Trick& trick, const Written& configuration) {
    const Neighbourhood here;
    trick.play(here);
    refuse(here, configuration, runtime_folder_of(here));
}

void refuse_all(const std::vector<Trick>& all, const Written& configuration) {
    for (const Trick& trick : all) BOOST_TEST_CONTEXT(trick.name) refuse(trick, configuration);
}

void refuse_all(const std::vector<Diversion>& all, const Written& configuration) {
    for (const Diversion& diversion : all) {
        BOOST_TEST_CONTEXT(diversion.name) {
            const Detour here;
            diversion.play(here);
            refuse(here, configuration, runtime_folder_of(here));
        }
    }
}

std::string with_key(const std::string& key, const std::string& path) {
    return key + " = " + path + "\n" + listener("echo", "probe");
}

std::string with_data(const std::string& path) {
    return listener("files", "file-probe", "root = /\ndata = " + path + "\n");
}

std::string with_board(const std::string& path) {
    return listener("board", "board", "file = " + path + "\n");
}

std::string with_socket(const std::string& path) {
    return "[listen.echo]\nservice = probe\naddress = unix:" + path + "\n";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hostile_files, *precondition(needs_root))

BOOST_AUTO_TEST_CASE(a_lock_file_that_is_something_else_is_refused) {
    refuse_all(tricks_with_devices(),
               [](const std::string& path) { return with_key("lock_file", path); });
}

BOOST_AUTO_TEST_CASE(logs_that_are_something_else_are_refused) {
    for (const char* const key : {"error_log", "output_log", "access_log"})
        refuse_all(tricks(), [key](const std::string& path) { return with_key(key, path); });
}

BOOST_AUTO_TEST_CASE(a_data_file_that_is_something_else_is_refused) {
    refuse_all(tricks_with_devices(), with_data);
}

BOOST_AUTO_TEST_CASE(a_unix_address_that_is_something_else_is_refused) {
    std::vector<Trick> all = tricks_with_devices();
    for (Trick& trick : all)
        if (trick.name == std::string("socket"))
            trick = {"somebody's socket", [play = trick.play](const auto& here) {
                         play(here);
                         BOOST_REQUIRE(::chown(here.path.c_str(), 1234, 1234) == 0);
                     }};
    for (const Trick& trick : all) {
        BOOST_TEST_CONTEXT(trick.name) {
            const Neighbourhood here;
            trick.play(here);
            refuse(here, with_socket, runtime_folder_of(here));
            BOOST_TEST(std::filesystem::exists(std::filesystem::symlink_status(here.path)));
        }
    }
}

// Only the last folder was looked at, and through the link: as root that the neighbour chose, files
// appeared in a folder of root's.
BOOST_AUTO_TEST_CASE(no_path_is_led_elsewhere_by_a_neighbour) {
    for (const char* const key : {"error_log", "output_log", "access_log"})
        refuse_all(diversions(), [key](const std::string& path) { return with_key(key, path); });
    refuse_all(diversions(), with_data);
    refuse_all(diversions(), with_board);
    refuse_all(diversions_and_folders(), with_socket);
    refuse_all(diversions_and_folders(),
               [](const std::string& path) { return with_key("lock_file", path); });
}

BOOST_AUTO_TEST_CASE(the_runtime_folder_is_not_led_elsewhere_by_a_neighbour) {
    for (const Diversion& diversion : diversions_and_folders()) {
        BOOST_TEST_CONTEXT(diversion.name) {
            const Detour here;
            diversion.play(here);
            const auto with_lock = [](const std::string& path) {
                return with_key("lock_file", path + "/lock");
            };
            refuse(here, with_lock, here.path);
            const auto with_socket_alone = [&](const std::string& path) {
                return "lock_file = " + (here.own / "lock") + "\n" + with_socket(path + "/socket");
            };
            refuse(here, with_socket_alone, here.path);
        }
    }
}

BOOST_AUTO_TEST_CASE(logs_and_data_may_lie_in_folders_of_a_neighbours_own) {
    const Detour here;
    make_folder(here.way);
    make_folder(here.turn);
    give_to_neighbour(here.turn);
    give_to_neighbour(here.way);
    const std::string log = here.turn + "/access.log", board = here.turn + "/board";
    Daemon server({.keys = "workers = 1\naccess_log = " + log + "\n",
                   .sections = listener("board", "board", "file = " + board + "\n")});
    server.start();
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(std::filesystem::exists(log));
    BOOST_TEST(std::filesystem::exists(board));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_log_that_is_led_elsewhere_meanwhile_is_not_reopened) {
    for (const Diversion& diversion : diversions()) {
        BOOST_TEST_CONTEXT(diversion.name) {
            const Detour here;
            make_folder(here.way);
            make_folder(here.turn);
            Daemon server({.keys = "workers = 1\naccess_log = " + here.path + "\n"});
            server.start();
            std::filesystem::rename(here.way, here.way + "-before");
            diversion.play(here);
            server.send(SIGUSR1);
            server.wait_for_line({"logs not reopened", here.turn});
            BOOST_TEST(Client(server.address()).ask("hello") == "hello");
            server.send(SIGHUP);
            server.wait_for_line({"reload refused", here.turn});
            BOOST_TEST(Client(server.address()).ask("hello") == "hello");
            here.check_victim();
            server.stop();
        }
    }
}

BOOST_AUTO_TEST_CASE(a_configuration_that_is_something_else_is_refused) {
    for (const Trick& trick : tricks_with_devices()) {
        if (trick.name == std::string("link"))
            continue;  // is read through, and is no configuration
        const Neighbourhood here;
        trick.play(here);
        const Outcome outcome = run_preforkd({"-F", "-c", here.path});
        BOOST_TEST(outcome.exit == exited(6), trick.name << outcome.printed);
        BOOST_TEST(outcome.printed.find("path") != std::string::npos, outcome.printed);
        here.check_victim();
    }
}

BOOST_AUTO_TEST_CASE(a_root_that_is_no_folder_is_refused) {
    for (const Trick& trick : tricks_with_devices()) {
        if (trick.name == std::string("folder")) continue;
        refuse(trick, [](const std::string& path) {
            return listener("web", "http", "root = " + path + "\n");
        });
    }
}

BOOST_AUTO_TEST_CASE(a_log_that_is_replaced_meanwhile_is_not_reopened) {
    for (const Trick& trick : tricks()) {
        BOOST_TEST_CONTEXT(trick.name) {
            const Neighbourhood here;
            Daemon server({.keys = "workers = 1\naccess_log = " + here.path + "\n"});
            server.start();
            std::filesystem::remove(here.path);
            trick.play(here);
            server.send(SIGUSR1);
            server.wait_for_line({"logs not reopened", here.path});
            BOOST_TEST(Client(server.address()).ask("hello") == "hello");
            server.send(SIGHUP);
            server.wait_for_line({"reload refused", here.path});
            BOOST_TEST(Client(server.address()).ask("hello") == "hello");
            here.check_victim();
            server.stop();
        }
    }
}

BOOST_AUTO_TEST_CASE(a_configuration_that_is_replaced_meanwhile_is_refused) {
    for (const Trick& trick : tricks_with_devices()) {
        BOOST_TEST_CONTEXT(trick.name) {
            Daemon server({.keys = "workers = 1\n"});
            server.start();
            const Neighbourhood here(server.config_file());
            std::filesystem::remove(here.path);
            trick.play(here);
            server.send(SIGHUP);
            server.wait_for_line({"reload refused", "test.conf"});
            BOOST_TEST(Client(server.address()).ask("hello") == "hello");
            here.check_victim();
            std::filesystem::remove(here.path);
            server.configure(listener("echo"));
            server.send(SIGHUP);
            server.wait_for_line({"reload ok"});
            server.stop();
        }
    }
}

BOOST_AUTO_TEST_CASE(a_root_that_is_replaced_meanwhile_is_refused) {
    for (const Trick& trick : tricks_with_devices()) {
        if (trick.name == std::string("folder")) continue;
        BOOST_TEST_CONTEXT(trick.name) {
            const Neighbourhood here;
            const auto make_root = [&here] {
                std::filesystem::remove(here.path);
                std::filesystem::create_directory(here.path);
            };
            make_root();
            Daemon server({.keys = "workers = 1\nkeepalive_grace = 0s\n",
                           .sections = listener("web", "http", "root = " + here.path + "\n")});
            server.start();
            const auto serves = [&server] {
                return Client(server.address("web")).ask("GET / HTTP/1.0\r\n\r") != "";
            };
            std::filesystem::remove(here.path);
            trick.play(here);
            server.send(SIGHUP);
            server.wait_for_line({"reload refused", here.path});
            BOOST_TEST(serves());
            here.check_victim();
            make_root();
            server.send(SIGHUP);
            server.wait_for_line({"reload ok"});
            BOOST_TEST(serves());
            server.stop();
        }
    }
}

BOOST_AUTO_TEST_CASE(a_board_whose_files_are_replaced_meanwhile_goes_on_with_its_own) {
    Neighbourhood here;
    const std::string board = here.path;
    Daemon server({.keys = "workers = 1\nkeepalive_grace = 0s\n",
                   .sections = listener("board", "board", "file = " + board + "\n")});
    server.start();
    Client client(server.address("board"));
    BOOST_TEST(client.receive_line().starts_with("0.0 "));
    BOOST_TEST(client.ask("USER ann").starts_with("1.0 "));
    BOOST_TEST(client.ask("WRITE before").starts_with("3.0 "));
    for (const std::string& path : {board, board + "-lock"}) {
        here.path = path;
        for (const Trick& trick : tricks_with_devices()) {
            BOOST_TEST_CONTEXT(trick.name << " for " << path) {
                std::filesystem::rename(path, path + "-meanwhile");
                trick.play(here);
                server.send(SIGHUP);
                server.wait_for_line({"reload refused", path});
                BOOST_TEST(client.ask("WRITE after").starts_with("3.0 "));
                BOOST_TEST(client.ask("READ 0").ends_with("ann/before"));
                here.check_victim();
                std::filesystem::remove(path);
                std::filesystem::rename(path + "-meanwhile", path);
            }
        }
    }
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    Client next(server.address("board"));
    BOOST_TEST(next.receive_line().starts_with("0.0 "));
    BOOST_TEST(next.ask("READ 0").ends_with("ann/before"));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_lock_file_that_is_replaced_meanwhile_is_left_alone) {
    for (const Trick& trick : tricks()) {
        BOOST_TEST_CONTEXT(trick.name) {
            const Neighbourhood here;
            Daemon server({.arguments = {"-o", "lock_file=" + here.path}});
            server.start();
            std::filesystem::remove(here.path);
            trick.play(here);
            server.send(SIGTERM);
            BOOST_TEST(server.outcome().exit == exited(0));
            BOOST_TEST(std::filesystem::exists(std::filesystem::symlink_status(here.path)));
            here.check_victim();
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
