#include <fcntl.h>
#include <sys/file.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "board_room.hpp"
#include "client.hpp"
#include "command.hpp"
#include "daemon.hpp"
#include "deadline.hpp"
#include "needs_root.hpp"
#include "probe.hpp"
#include "strace.hpp"

// The board's promises to clients, and its disk: what a real worker does, as strace(1) sees it, and
// what it does when the disk fails under it.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::UniqueFd;

namespace {

/// What strace -f wrote, a line for each call's end; of one that was interrupted by another
/// thread's
/// "<... NAME resumed>".
std::vector<std::string> ends_of_calls(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> ends;
    for (std::string line; std::getline(file, line);)
        if (line.find("<unfinished") == std::string::npos) ends.push_back(line);
    return ends;
}

const std::string names = "/tmp/preforkd-board-";

/// Those folders whose maker is dead; another test's worker may remove them at any time.
std::vector<std::string> abandoned_names() {
    std::vector<std::string> abandoned;
    for (const auto& entry : std::filesystem::directory_iterator("/tmp")) {
        const std::string path = entry.path();
        if (!path.starts_with(names)) continue;
        const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (folder.is_open() && ::flock(folder.get(), LOCK_SH | LOCK_NB) == 0)
            abandoned.push_back(path);
    }
    return abandoned;
}

std::size_t last_with(const std::vector<std::string>& lines, const std::string& part,
                      std::size_t before) {
    while (before > 0)
        if (lines[--before].find(part) != std::string::npos) return before;
    BOOST_FAIL("no line with " + part);
    return 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(board_disk, *precondition(needs_root) * precondition(needs_strace))

BOOST_AUTO_TEST_CASE(an_answer_leaves_after_the_message_and_its_meta_page_are_on_the_disk) {
    const Room room;
    Daemon server(alone(room, "workers = 1\n"));
    server.start();
    Client client = visit(server);
    BOOST_TEST(client.ask("WRITE before") == "3.0 WROTE 0");
    const std::string trace = room.folder / "trace";
    {
        const Tracer tracer(
            server.worker("main/0"),
            {"-f", "-e", "trace=pwrite64,pwritev,writev,fdatasync,sendto", "-o", trace});
        BOOST_TEST(client.ask("WRITE hello") == "3.0 WROTE 1");
    }
    const auto lines = ends_of_calls(trace);
    const std::size_t answer = last_with(lines, "3.0 WROTE 1", lines.size());
    const std::size_t synced = last_with(lines, "fdatasync", answer);
    const std::size_t meta = last_with(lines, "pwrite64", synced);
    const std::size_t data_synced = last_with(lines, "fdatasync", meta);
    const std::size_t data = last_with(lines, "write", data_synced);
    for (const std::size_t line : {synced, data_synced})
        BOOST_TEST(lines[line].find(" = 0") != std::string::npos, lines[line]);
    BOOST_TEST(lines[data].find(", 120, ") == std::string::npos, lines[data]);
    BOOST_TEST(lines[meta].find(", 120, ") != std::string::npos, lines[meta]);  // behind its head
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_disk_that_fails_refuses_every_message_until_a_reload) {
    const Room room;
    // What strace makes fail is to seccomp a call without a number, which no filter allows.
    Daemon server(alone(room, "workers = 1\nkeepalive_grace = 0s\nsandbox = off\n"));
    server.start();
    Client client = visit(server);
    BOOST_TEST(client.ask("WRITE kept") == "3.0 WROTE 0");
    server.mark();
    {
        const Tracer tracer(
            server.worker("main/0"),
            {"-f", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", "-o", "/dev/null"});
        BOOST_TEST(client.ask("WRITE lost").starts_with("3.2 ERROR WRITE not stored: "));
        server.wait_for_line({" error ", "can't be written: Input/output error"});
        server.wait_for_line({" error ", "no message is written any more", "then reload"});
    }
    BOOST_TEST(client.ask("WRITE again").starts_with("3.2 ERROR WRITE not stored: "));
    BOOST_TEST(client.ask("READ 0") == "2.0 MESSAGE 0 nobody/kept");
    BOOST_TEST(client.ask("COUNT") == "2.4 COUNT 1");
    const std::string metrics = run_preforkctl(server.lock_file(), {"metrics"}).printed;
    BOOST_TEST(
        metrics.find("board_messages_refused_total{listener=\"board\"} 2\n") != std::string::npos,
        metrics);
    server.send(SIGHUP);
    server.wait_for_line({"reload ok"});
    Client later = visit(server);
    BOOST_TEST(later.ask("READ 0") == "2.0 MESSAGE 0 nobody/kept");
    BOOST_TEST(later.ask("WRITE new") == "3.0 WROTE 1");
    server.stop();
}

BOOST_AUTO_TEST_CASE(names_that_a_worker_could_not_use_stay_for_the_next_one_at_most) {
    const TempFolder folder;
    const Room room;
    const std::string wrapper = folder / "wrapper";
    BOOST_REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    Daemon server({.keys = "workers = 1\nready_timeout = 5s\n",
                   .sections = listener("board", "board", "file = " + room.file + "\n"),
                   .environment = {std::string(worker_wrapper) + "=" + wrapper},
                   .probe = true});
    server.start();
    for (const char* const fault : {"error=ENOSPC:when=1", "error=ENOSPC:when=2",
                                    "signal=KILL:when=1", "signal=KILL:when=2"}) {
        std::ofstream(wrapper) << strace << "\n-D\n-qq\n-o\n/dev/null\n-e\ntrace=symlinkat\n-e\n"
                               << "inject=symlinkat:" << fault << "\n";
        server.send(SIGHUP);
        const std::string line = server.wait_for_line({"reload refused"});
        const std::size_t named = line.find(names);
        BOOST_TEST((named != line.npos || line.find("signal 9") != line.npos), line);
        if (named != line.npos)
            BOOST_TEST(!std::filesystem::exists(line.substr(named, names.size() + 6)), line);
        const auto left = abandoned_names();
        std::filesystem::remove(wrapper);
        server.send(SIGHUP);
        server.wait_for_line({"reload ok"});
        for (const std::string& name : left) BOOST_TEST(!std::filesystem::exists(name), name);
    }
    server.stop();
}

// An import that a terminal or somebody else stopped in its turn blocked every writer for as long.
BOOST_AUTO_TEST_CASE(an_import_that_is_stopped_in_its_turn_is_killed_and_clients_can_write) {
    const Room room;
    Daemon server(alone(room));
    server.start();
    Client client = visit(server);
    BOOST_TEST(client.ask("WRITE kept") == "3.0 WROTE 0");
    const std::string text = room.folder / "text";
    std::ofstream(text) << "1/ann/never\n";
    Command command;
    command.program = strace;
    command.arguments = {"strace",
                         "-e",
                         "trace=fdatasync",
                         "-e",
                         "inject=fdatasync:signal=STOP:when=1",
                         preforkctl_command("", {}).program,
                         "board",
                         "import",
                         room.file};
    command.before_exec = [&text] {
        ::close(0);
        if (::open(text.c_str(), O_RDONLY) != 0) ::_exit(97);
    };
    Execution import = execute(command);
    std::string printed;
    char byte = 0;
    while (printed.find("stopped by SIGSTOP") == std::string::npos) {
        BOOST_REQUIRE(wait_for(import.printed.get(), POLLIN, Deadline()));
        BOOST_REQUIRE_MESSAGE(::read(import.printed.get(), &byte, 1) == 1, printed);
        printed += byte;
    }
    BOOST_TEST(client.ask("WRITE on") == "3.0 WROTE 1");
    const Outcome outcome = finish(std::move(import));
    BOOST_TEST(outcome.exit == killed_by(SIGKILL), outcome.printed);
    BOOST_TEST(client.ask("READ 1") == "2.0 MESSAGE 1 nobody/on");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_disk_that_became_read_only_refuses_messages_and_the_board_stays_readable) {
    const Room room;
    Daemon server(alone(room, "workers = 1\nsandbox = off\n"));
    server.start();
    Client client = visit(server);
    BOOST_TEST(client.ask("WRITE kept") == "3.0 WROTE 0");
    server.mark();
    {
        const Tracer tracer(server.worker("main/0"),
                            {"-f", "-e", "trace=pwrite64,pwritev,writev", "-e",
                             "inject=pwrite64,pwritev,writev:error=EROFS", "-o", "/dev/null"});
        BOOST_TEST(client.ask("WRITE none") == "3.2 ERROR WRITE not stored: Read-only file system");
        server.wait_for_line({" error ", "can't be written: Read-only file system"});
        BOOST_TEST(client.ask("READ 0") == "2.0 MESSAGE 0 nobody/kept");
        BOOST_TEST(client.ask("COUNT") == "2.4 COUNT 1");
    }
    BOOST_TEST(client.ask("WRITE again") == "3.0 WROTE 1");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
