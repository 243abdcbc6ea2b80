#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "board_room.hpp"
#include "client.hpp"
#include "daemon.hpp"
#include "needs_root.hpp"
#include "worker/services/board_store.hpp"

// The bulletin board from a real daemon: bbserve, its files, its drain, and its bad days.

using namespace preforkd::testing;
using namespace preforkd::worker::board;
using boost::unit_test::precondition;

namespace {

std::string board_section(const Room& room, const std::string& more = "") {
    return listener("board", "board", "file = " + room.file + "\n" + more);
}

std::string contents_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void overwrite(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// Somebody else's turn to write, in a process of its own, until the object ends.
class ForeignTurn {
  public:
    explicit ForeignTurn(const std::string& path) {
        int began[2], end[2];
        BOOST_REQUIRE(::pipe2(began, O_CLOEXEC) == 0 && ::pipe2(end, O_CLOEXEC) == 0);
        const pid_t pid = ::fork();
        BOOST_REQUIRE(pid >= 0);
        if (pid == 0) {
            ::close(end[1]);
            char byte = 'x';
            try {
                Store store(path, {});
                const auto transaction = Transaction::begin(store);
                if (transaction && ::write(began[1], &byte, 1) == 1)
                    static_cast<void>(::read(end[0], &byte, 1));
            } catch (const std::exception&) {
            }
            ::_exit(0);
        }
        ::close(began[1]);
        ::close(end[0]);
        end_.reset(end[1]);
        process_ = Process(pid);
        char byte = 0;
        BOOST_REQUIRE(::read(began[0], &byte, 1) == 1);
        ::close(began[0]);
    }
    ~ForeignTurn() {
        end_.reset();
        (void)process_.reap();
    }

  private:
    preforkd::UniqueFd end_;
    Process process_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(board)

BOOST_AUTO_TEST_CASE(the_session_of_the_course) {
    const Room room;
    Daemon server(alone(room));
    server.start();
    Client client = visit(server);
    BOOST_TEST(client.ask("USER ann").starts_with("1.0 HELLO ann "));
    BOOST_TEST(client.ask("WRITE hello, world") == "3.0 WROTE 0");
    BOOST_TEST(client.ask("READ 0") == "2.0 MESSAGE 0 ann/hello, world");
    BOOST_TEST(client.ask("REPLACE 0/good bye\r") == "3.0 WROTE 0");
    BOOST_TEST(client.ask("READ 0") == "2.0 MESSAGE 0 ann/good bye");
    BOOST_TEST(client.ask("READ 1").starts_with("2.1 UNKNOWN 1 "));
    client.send("QUIT now\n");
    BOOST_TEST(client.receive_rest() == "4.0 BYE see you\n");
    server.stop();
}

BOOST_AUTO_TEST_CASE(it_stays_in_the_foreground_unless_told_otherwise) {
    const Room room;
    for (const bool by_key : {true, false}) {
        Setup setup = alone(room, by_key ? "daemon = yes\n" : "");
        if (!by_key) setup.arguments.push_back("-d");
        Daemon server(setup);
        server.launch();
        BOOST_TEST(server.pid() != ::getpid());
        BOOST_TEST(visit(server).ask("COUNT") == "2.4 COUNT 0");
        server.stop();
    }
    Daemon server(alone(room));
    server.begin_launch();
    server.wait_for_line({"ready generation=1"});
    BOOST_TEST(*server.locked_by() == server.pid());
    BOOST_TEST(title_of(server.pid()) == "bbserve: master");
    server.stop();
}

BOOST_AUTO_TEST_CASE(the_board_outlives_its_server) {
    const Room room;
    for (int i = 0; i < 3; ++i) {
        Daemon server(alone(room));
        server.start();
        BOOST_TEST(visit(server).ask("WRITE x") == fmt::format("3.0 WROTE {}", i));
        server.stop();
    }
    BOOST_TEST(std::filesystem::exists(room.file));
}

BOOST_AUTO_TEST_CASE(files_are_made_for_a_worker_that_can_not_reach_them,
                     *precondition(needs_root)) {
    const Room room;
    Daemon server(alone(room));
    server.start();
    BOOST_TEST(visit(server).ask("WRITE x") == "3.0 WROTE 0");
    for (const std::string& path : {room.file, room.file + "-lock"}) {
        struct stat status {};
        BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
        BOOST_TEST(status.st_uid != 0u);
        BOOST_TEST((status.st_mode & 07777) == 0600u);
    }
    for (const pid_t worker : server.workers()) BOOST_TEST(status_of(worker)["Uid"][0] != '0');
    server.stop();
}

BOOST_AUTO_TEST_CASE(links_in_the_place_of_its_files_are_refused) {
    for (const std::string end : {"", "-lock"}) {
        const Room room;
        std::filesystem::create_symlink("elsewhere", room.file + end);
        Daemon server(alone(room));
        server.begin_launch();
        const Outcome outcome = server.outcome();
        BOOST_TEST(outcome.exit == exited(6));
        BOOST_TEST(holds_all(outcome.printed, {"bbfile" + end + "'", "is a symbolic link"}),
                   outcome.printed);
        BOOST_TEST(!std::filesystem::exists(room.folder / "elsewhere"));
    }
}

BOOST_AUTO_TEST_CASE(a_file_that_was_cut_or_is_no_board_is_refused_with_a_word) {
    const Room room;
    {
        Daemon server(alone(room));
        server.start();
        Client client = visit(server);
        for (int i = 0; i < 200; ++i)
            BOOST_TEST(client.ask("WRITE " + std::string(500, 'x')) != "");
        server.stop();
    }
    const std::string whole = contents_of(room.file);
    const std::pair<std::string, std::string> damages[] = {
        {whole.substr(0, 20'000), "was cut"},
        {std::string(9000, 'x'), "is not a bulletin board"},
        {"", "is empty, but was a bulletin board"}};
    for (const auto& [bytes, word] : damages) {
        overwrite(room.file, bytes);
        Daemon server(alone(room));
        server.begin_launch();
        const Outcome outcome = server.outcome();
        BOOST_TEST(outcome.exit != exited(0));
        const std::string log = server.inbox().whole_log();
        BOOST_TEST(holds_all(outcome.printed + log, {room.file, word}), outcome.printed + log);
        BOOST_TEST(contents_of(room.file) == bytes);
    }
    overwrite(room.file, whole);
    Daemon server(alone(room));
    server.start();
    BOOST_TEST(visit(server).ask("COUNT") == "2.4 COUNT 200");
    server.stop();
}

BOOST_AUTO_TEST_CASE(watchers_hear_of_messages_from_every_worker) {
    const Room room;
    Daemon server(alone(room, "workers = 4\n"));
    server.start();
    std::vector<Client> watchers;
    for (int i = 0; i < 8; ++i) {
        watchers.push_back(visit(server));
        watchers.back().send("WATCH 0\n");
    }
    for (int i = 0; i < 8; ++i)
        BOOST_TEST(visit(server).ask(fmt::format("WRITE m{}", i)) ==
                   fmt::format("3.0 WROTE {}", i));
    for (Client& watcher : watchers)
        for (int i = 0; i < 8; ++i)
            BOOST_TEST(watcher.receive_line() == fmt::format("2.0 MESSAGE {0} nobody/m{0}", i));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_reload_says_goodbye_between_commands_and_waits_for_half_a_command) {
    const Room room;
    Daemon server({.keys = "workers = 1\nkeepalive_grace = 0s\n", .sections = board_section(room)});
    server.start();
    Client idle = visit(server);
    Client halfway = visit(server);
    Client watcher = visit(server);
    halfway.send("WRITE first half,");
    watcher.send("WATCH\n");
    BOOST_TEST(visit(server).ask("WRITE x") == "3.0 WROTE 0");
    BOOST_TEST(watcher.receive_line() == "2.0 MESSAGE 0 nobody/x");
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    BOOST_TEST(idle.receive_rest() == "4.0 BYE restarting\n");
    BOOST_TEST(watcher.receive_rest() == "2.3 END 1\n4.0 BYE restarting\n");
    halfway.send(" second half\n");
    BOOST_TEST(halfway.receive_rest() == "3.0 WROTE 1\n4.0 BYE restarting\n");
    BOOST_TEST(visit(server).ask("READ 1") == "2.0 MESSAGE 1 nobody/first half, second half");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_full_disk_refuses_messages_and_the_board_stays_readable,
                     *precondition(needs_root)) {
    const Room room;
    Setup setup = alone(room, "workers = 2\n");
    // A file system of its own, which only the server and we through it can see.
    const std::string small = room.folder.path();
    setup.parent = [&small] {
        if (::unshare(CLONE_NEWNS) < 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
            ::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=256k,mode=0700") < 0)
            ::_exit(97);
    };
    Daemon server(setup);
    server.start();
    Client client = visit(server);
    int stored = 0;
    std::string reply;
    while ((reply = client.ask("WRITE " + std::string(3000, 'x'))).starts_with("3.0 WROTE ")) {
        ++stored;
        BOOST_REQUIRE(stored < 200);
    }
    BOOST_TEST(reply == "3.2 ERROR WRITE not stored: No space left on device");
    server.wait_for_line({" error ", "board",
                          "can't be written: No space left on device; make "
                          "room on its disk"});
    BOOST_TEST(stored > 10);
    for (int i = 0; i < 5; ++i) {
        BOOST_TEST(client.ask("READ 0").starts_with("2.0 MESSAGE 0 nobody/xxx"));
        BOOST_TEST(visit(server).ask("COUNT") == fmt::format("2.4 COUNT {}", stored));
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_turn_that_is_long_in_coming_is_told_with_what_to_do) {
    const Room room;
    Daemon server(alone(room));
    server.start();
    Client client = visit(server);
    {
        const ForeignTurn turn(room.file);
        client.send("WRITE waits\n");
        server.wait_for_line({" warning ", "waited 5 s", "'fuser -v " + room.file + "' names"});
    }
    BOOST_TEST(client.receive_line() == "3.0 WROTE 0");
    server.stop();
}

// What one of them acknowledged as durable could be lost by the other.
BOOST_AUTO_TEST_CASE(listeners_that_share_a_file_must_agree_on_sync) {
    const Room room;
    const std::string twin = room.folder / "twin";
    const auto verdict = [&room](const std::string& file, const std::string& first,
                                 const std::string& second) {
        const std::string conf = room.folder / "conf";
        std::ofstream(conf)
            << "[listen.a]\naddress = 127.0.0.1:9001\nservice = board\nworkers = 1\n"
            << "file = " << room.file << "\n"
            << first << "\n"
            << "[listen.b]\naddress = 127.0.0.1:9002\nservice = board\nworkers = 1\n"
            << "file = " << file << "\n"
            << second << "\n";
        BOOST_REQUIRE(::chmod(conf.c_str(), 0600) == 0);
        return run_preforkd({"-t", "-c", conf});
    };
    const auto refused = [&](const std::string& file, const std::string& first,
                             const std::string& second, const std::string& what) {
        const Outcome outcome = verdict(file, first, second);
        BOOST_TEST(outcome.exit == exited(6), outcome.printed);
        BOOST_TEST(holds_all(outcome.printed,
                             {what, "for the same file, " + room.file, "give both the same value"}),
                   outcome.printed);
    };
    const std::string same = room.folder / "./bbfile";
    refused(same, "sync = always", "sync = off",
            "conf:12: listen.b: sync = off, but [listen.a], line 6 has sync = always");
    refused(same, "", "sync = interval 1s",
            "conf:12: listen.b: sync = interval 1s, but [listen.a], line 5 has sync = always");
    refused(same, "sync = off", "",
            "conf:11: listen.b: sync = always, but [listen.a], line 6 has sync = off");
    BOOST_TEST((verdict(same, "sync = off", "sync = off").exit == exited(0)));
    BOOST_TEST((verdict(twin, "", "sync = off").exit == exited(0)));
    std::ofstream(room.file) << "";
    std::filesystem::create_hard_link(room.file, twin);
    refused(twin, "", "sync = off", "conf:12: listen.b: sync = off, but [listen.a], line 5");
}

BOOST_AUTO_TEST_CASE(a_board_on_a_read_only_disk_is_read, *precondition(needs_root)) {
    const Room room;
    {
        Daemon server(alone(room));
        server.start();
        BOOST_TEST(visit(server).ask("WRITE kept") == "3.0 WROTE 0");
        server.stop();
    }
    Setup setup = alone(room);
    const std::string folder = room.folder.path();
    setup.parent = [&folder] {
        const char* const path = folder.c_str();
        if (::unshare(CLONE_NEWNS) < 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
            ::mount(path, path, nullptr, MS_BIND, nullptr) < 0 ||
            ::mount(nullptr, path, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) < 0)
            ::_exit(97);
    };
    for (const bool has_lock : {true, false}) {
        if (!has_lock) std::filesystem::remove(room.file + "-lock");
        Daemon server(setup);
        server.start();
        server.wait_for_line(
            {" error ", room.file + ": the board can only be read: Read-only file system"});
        Client client = visit(server);
        BOOST_TEST(client.ask("READ 0") == "2.0 MESSAGE 0 nobody/kept");
        BOOST_TEST(client.ask("WRITE none").starts_with("3.2 ERROR WRITE "));
        server.stop();
    }
    std::filesystem::remove(room.file);
    Daemon server(setup);
    server.begin_launch();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(holds_all(outcome.printed, {room.file + "': Read-only file system"}),
               outcome.printed);
}

/// What the packaged unit leaves to the server and to preforkctl.
void keep_the_units_capabilities() {
    constexpr std::array kept{CAP_NET_BIND_SERVICE, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_KILL};
    for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
        if (std::find(kept.begin(), kept.end(), capability) == kept.end())
            if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) ::_exit(95);
}

// To open it, root without its power over others' files acts as its owner, which hid the server.
BOOST_AUTO_TEST_CASE(a_server_with_a_board_is_tested_and_reloaded_with_the_units_capabilities,
                     *precondition(needs_root)) {
    const Room room;
    overwrite(room.file, "");
    overwrite(room.file + "-lock", "");
    for (const std::string& path : {room.folder.path(), room.file, room.file + "-lock"})
        BOOST_REQUIRE(::chown(path.c_str(), nobody, nobody) == 0);
    for (const std::string& path : {room.file, room.file + "-lock"})
        BOOST_REQUIRE(::chmod(path.c_str(), 0600) == 0);
    Setup setup = alone(room);
    setup.parent = keep_the_units_capabilities;
    Daemon server(setup);
    server.start();
    BOOST_TEST(visit(server).ask("WRITE first") == "3.0 WROTE 0");
    Command test = server.command(false);
    test.arguments.push_back("-t");
    for (const Outcome& outcome :
         {finish(execute(test)),
          run_preforkctl(server.lock_file(), {"reload", "--wait"}, keep_the_units_capabilities)})
        BOOST_TEST(outcome.exit == exited(0), outcome.printed);
    BOOST_TEST(visit(server).ask("READ 0") == "2.0 MESSAGE 0 nobody/first");
    server.stop();
}

BOOST_AUTO_TEST_CASE(files_of_somebody_else_are_both_named, *precondition(needs_root)) {
    const Room room;
    overwrite(room.file, "");
    overwrite(room.file + "-lock", "");
    Daemon server(alone(room));
    server.begin_launch();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(
        holds_all(outcome.printed, {"bbfile': belongs to uid 0", "bbfile-lock': belongs to"}),
        outcome.printed);
}

BOOST_AUTO_TEST_CASE(a_worker_that_is_stopped_in_its_turn_is_killed_and_the_others_go_on) {
    const Room room;
    const auto pool = [&room](const std::string& name) {
        return listener(name, "board", "workers = 1\nfile = " + room.file + "\n");
    };
    Daemon server({.keys = "", .sections = pool("a") + pool("b")});
    server.start();
    const pid_t stopped = server.worker("a/0 gen 1");
    const pid_t waiting = server.worker("b/0 gen 1");
    Client of_stopped = visit(server, "a");
    Client of_waiting = visit(server, "b");
    {
        const ForeignTurn turn(room.file);
        of_waiting.send("WRITE waits\n");
        of_stopped.send("WRITE never\n");
        BOOST_TEST(visit(server, "a").ask("COUNT") == "2.4 COUNT 0");
        server.mark();
        ::kill(stopped, SIGSTOP);
        server.wait_for_line({"worker=" + std::to_string(stopped), "signal 9"});
    }
    BOOST_TEST(of_stopped.receive_rest() == "");
    BOOST_TEST(of_waiting.receive_line() == "3.0 WROTE 0");
    BOOST_TEST(server.worker("b/0 gen 1") == waiting);
    server.wait_for_line({"worker ready", "a/0"});
    BOOST_TEST(visit(server, "a").ask("WRITE again") == "3.0 WROTE 1");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
