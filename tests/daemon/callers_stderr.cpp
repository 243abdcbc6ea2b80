#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fstream>
#include <regex>
#include <sstream>

#include "client.hpp"
#include "daemon.hpp"
#include "deadline.hpp"
#include "file_events.hpp"
#include "needs_root.hpp"
#include "shared/syscalls.hpp"
#include "variant.hpp"

// The caller's standard error as the log: what comes of the terminal, the file, the pipe or the
// socket that it is.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::UniqueFd;
using preforkd::write_all;

namespace {

/// In a child: a setting that can't be made would make its test worthless.
void must(bool done) {
    if (!done) ::_exit(96);
}

/// In a child: what it prints goes to `stream`.
void print_to(int stream) {
    must(::dup2(stream, STDOUT_FILENO) >= 0 && ::dup2(stream, STDERR_FILENO) >= 0);
}

/// One probing worker that logs to what `parent` makes of descriptor 2.
Setup logging_to_stderr(std::function<void()> parent) {
    return {.keys = "workers = 1\n",
            .sections = listener("echo", "probe"),
            .parent = std::move(parent),
            .probe = true,
            .error_log = "stderr"};
}

/// A terminal, and the person before it.
class Terminal {
  public:
    Terminal() : person_(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {
        BOOST_REQUIRE(::grantpt(person_.get()) == 0 && ::unlockpt(person_.get()) == 0);
        line_ = ::ptsname(person_.get());
    }
    /// In a child: as login(1) leaves it.
    void log_in() const {
        must(::setsid() >= 0);
        use(0);
    }
    /// In a child: as one of many that it is open to.
    void use(int flag = O_NOCTTY) const {
        const UniqueFd line(::open(line_.c_str(), O_RDWR | O_CLOEXEC | flag));
        print_to(line.get());
    }
    void type(const std::string& text) const { BOOST_REQUIRE(!write_all(person_.get(), text)); }
    /// Waits until it has shown this.
    void wait_for(const std::string& text) {
        char chunk[4096];
        for (const Deadline deadline; shown_.find(text) == std::string::npos;) {
            BOOST_REQUIRE_MESSAGE(preforkd::testing::wait_for(person_.get(), POLLIN, deadline),
                                  "no '" << text << "' in\n"
                                         << shown_);
            const ssize_t size = ::read(person_.get(), chunk, sizeof chunk);
            BOOST_REQUIRE(size > 0);
            shown_.append(chunk, static_cast<std::size_t>(size));
        }
    }
    [[nodiscard]] const std::string& shown() const { return shown_; }

  private:
    UniqueFd person_;
    std::string line_, shown_;
};

std::string content_of(const std::string& path) {
    std::ostringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
}

/// A file as `2> FILE` opens it, which its caller prints to as well.
class CallersFile {
  public:
    CallersFile() { print("before"); }

    [[nodiscard]] int fd() const { return file_.get(); }
    void print(const std::string& line) const {
        BOOST_REQUIRE(!write_all(file_.get(), line + "\n"));
    }
    void wait_for(const std::string& text) {
        BOOST_REQUIRE_MESSAGE(
            events_.wait_until([&] { return content().find(text) != std::string::npos; }),
            "no '" << text << "' in\n"
                   << content());
    }
    [[nodiscard]] std::string content() const { return content_of(folder_ / "log"); }

    /// Each line is one of the server's, or one of `others`, in this order.
    void check(const std::vector<std::string>& others) const {
        std::vector<std::string> found;
        std::istringstream text(content());
        const std::regex servers(
            "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z [a-z]+ \\d+ .*");
        for (std::string line; std::getline(text, line);)
            if (!std::regex_match(line, servers)) found.push_back(line);
        BOOST_TEST(found == others, boost::test_tools::per_element());
        for (const char* const event :
             {"ready generation=1", "reload ok", "logs reopened", "stopping", "stopped"})
            BOOST_TEST(holds_all(content(), {event}), event << " is lost in\n" << content());
    }

  private:
    TempFolder folder_;
    FileEvents events_{folder_.path()};
    UniqueFd file_{::open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
};

/// What the caller reads of its server, when it does: a pipe, or a socket as the journal's.
struct Stream {
    UniqueFd reading, writing;

    static Stream pipe() {
        Pipe pipe;
        return {std::move(pipe.reading), std::move(pipe.writing)};
    }
    static Stream socket() {
        int ends[2];
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        return {UniqueFd(ends[0]), UniqueFd(ends[1])};
    }
    /// As a reader leaves it that has stopped reading.
    void fill() const {
        set_waiting(false);
        for (const std::size_t size : {std::size_t{4096}, std::size_t{1}})
            while (::write(writing.get(), std::string(size, '-').data(), size) > 0) {
            }
        set_waiting(true);
    }
    /// Takes what is there.
    void drain() const {
        char chunk[4096];
        pollfd entry{reading.get(), POLLIN, 0};
        while (::poll(&entry, 1, 0) > 0 && ::read(reading.get(), chunk, sizeof chunk) > 0) {
        }
    }
    /// Reads until this has come.
    void wait_for(const std::string& text) const {
        std::string read;
        char chunk[4096];
        for (const Deadline deadline; read.find(text) == std::string::npos;) {
            BOOST_REQUIRE_MESSAGE(preforkd::testing::wait_for(reading.get(), POLLIN, deadline),
                                  "no '" << text << "' in\n"
                                         << read);
            const ssize_t size = ::read(reading.get(), chunk, sizeof chunk);
            BOOST_REQUIRE(size > 0);
            read.append(chunk, static_cast<std::size_t>(size));
        }
    }
    [[nodiscard]] bool waits() const { return (::fcntl(writing.get(), F_GETFL) & O_NONBLOCK) == 0; }

    void set_waiting(bool on) const {
        const int flags = ::fcntl(writing.get(), F_GETFL) & ~O_NONBLOCK;
        BOOST_REQUIRE(::fcntl(writing.get(), F_SETFL, on ? flags : flags | O_NONBLOCK) == 0);
    }
};

void check_that_it_serves(Daemon& server, int generation) {
    server.send(SIGUSR1);
    server.send(SIGHUP);
    server.wait_for_note({"READY=1", "X_PREFORKD_GENERATION=" + std::to_string(generation)});
    BOOST_TEST(Client(server.address()).ask("log lost") == "ok");
}

void check_that_losses_are_told(const Stream& stream, Daemon& server) {
    stream.drain();
    server.send(SIGUSR1);
    stream.wait_for(" warning " + std::to_string(server.pid()) + " log lines were lost count=");
}

void check_that_it_does_not_wait_for(const Stream& stream, Daemon& server) {
    server.start();
    BOOST_TEST(stream.waits());  // it is the caller's as well
    stream.fill();
    check_that_it_serves(server, 2);
    check_that_losses_are_told(stream, server);
    server.stop();
}

void attack(Daemon& server, const std::string& name) {
    BOOST_TEST(Client(server.address("needy")).ask("attack " + name + " 0") == "done");
}

void check_that_worker_cannot_read(Daemon& server, Terminal& terminal) {
    terminal.type("secret\n");
    Client client(server.address());
    BOOST_TEST(client.ask("attack read_log 0") == "EBADF");
    BOOST_TEST(client.ask("attack read_output 0") == "EBADF");
    BOOST_TEST(client.ask("log nothing was read") == "ok");
    terminal.wait_for("nothing was read");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(callers_stderr)

// They had the caller's own descriptor, which a terminal's is for both.
BOOST_AUTO_TEST_CASE(workers_do_not_read_what_is_typed_at_the_terminal_that_they_log_to) {
    Terminal terminal;
    Daemon server(logging_to_stderr([&] { terminal.log_in(); }));
    server.start();
    check_that_worker_cannot_read(server, terminal);
    server.send(SIGUSR1);
    terminal.wait_for("logs reopened");
    check_that_worker_cannot_read(server, terminal);
    server.stop();
}

BOOST_AUTO_TEST_CASE(nor_after_su_at_the_terminal_of_another_user, *precondition(needs_root)) {
    Terminal terminal;
    Daemon server(logging_to_stderr([&] {
        terminal.log_in();
        become_nobody();
    }));
    server.give_to(nobody, nobody);
    server.start();
    check_that_worker_cannot_read(server, terminal);
    BOOST_TEST(terminal.shown().find("workers can read") == std::string::npos);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_terminal_that_cannot_be_opened_is_told, *precondition(needs_root)) {
    Terminal terminal;
    Daemon server(logging_to_stderr([&] {
        terminal.use();
        become_nobody();
    }));
    server.give_to(nobody, nobody);
    server.start();
    terminal.wait_for("workers can read what is typed at this terminal");
    terminal.wait_for("redirect standard error");
    server.stop();
}

// Its writers shared one offset. A worker that may write files could move it, or write before it,
// and so rewrite the log.
BOOST_AUTO_TEST_CASE(a_worker_cannot_overwrite_lines_in_a_file_not_opened_to_append) {
    CallersFile log;
    Setup setup = logging_to_stderr([&] { print_to(log.fd()); });
    setup.sections += listener("needy", "writing-probe", "root = /\n");
    Daemon server(setup);
    server.start();
    attack(server, "write_at_logs_begin");
    log.print("y");
    attack(server, "seek_log");
    server.send(SIGUSR1);
    log.wait_for("logs reopened");
    attack(server, "write_at_logs_begin");
    log.print("z");
    server.send(SIGHUP);
    log.wait_for("reload ok");
    server.stop();
    log.check({"before", "xy", "xz"});
}

BOOST_AUTO_TEST_CASE(callers_and_servers_lines_stay_in_a_file_that_they_share) {
    CallersFile log;
    Daemon server(logging_to_stderr([&] { print_to(log.fd()); }));
    server.launch();
    log.print("started");
    server.send(SIGHUP);
    log.wait_for("reload ok");
    log.print("reloaded");
    server.send(SIGUSR1);
    log.wait_for("logs reopened");
    server.stop();
    log.print("stopped");
    log.check({"before", "started", "reloaded", "stopped"});
}

// Opening it anew is refused then; that it appends needs no such right.
BOOST_AUTO_TEST_CASE(nor_in_a_file_of_another_user, *precondition(needs_root)) {
    CallersFile log;
    Setup setup = logging_to_stderr([&] {
        print_to(log.fd());
        become_nobody();
    });
    setup.sections += listener("needy", "writing-probe", "root = /\n");
    Daemon server(setup);
    server.give_to(nobody, nobody);
    server.start();
    attack(server, "write_at_logs_begin");
    log.print("y");
    server.send(SIGHUP);
    log.wait_for("reload ok");
    server.send(SIGUSR1);
    log.wait_for("logs reopened");
    server.stop();
    log.check({"before", "xy"});
}

// The master waited in write(2) for a reader that had stopped reading: no reload, no stop, no
// worker replaced.
BOOST_AUTO_TEST_CASE(a_pipe_that_nobody_reads_stops_nobody) {
    const Stream pipe = Stream::pipe();
    Daemon server(logging_to_stderr([&] { print_to(pipe.writing.get()); }));
    check_that_it_does_not_wait_for(pipe, server);
}

BOOST_AUTO_TEST_CASE(nor_does_a_pipe_of_another_user, *precondition(needs_root)) {
    const Stream pipe = Stream::pipe();
    Daemon server(logging_to_stderr([&] {
        print_to(pipe.writing.get());
        become_nobody();
    }));
    server.give_to(nobody, nobody);
    check_that_it_does_not_wait_for(pipe, server);
}

BOOST_AUTO_TEST_CASE(nor_does_a_socket) {
    const Stream socket = Stream::socket();
    Daemon server(logging_to_stderr([&] { print_to(socket.writing.get()); }));
    check_that_it_does_not_wait_for(socket, server);
}

BOOST_AUTO_TEST_CASE(nor_does_a_terminal_that_was_stopped) {
    Terminal terminal;
    Daemon server(logging_to_stderr([&] { terminal.log_in(); }));
    server.start();
    terminal.wait_for("ready generation=1");
    terminal.type("\x13");  // Ctrl-S
    check_that_it_serves(server, 2);
    terminal.type("\x11");  // Ctrl-Q
    server.send(SIGUSR1);
    terminal.wait_for("log lines were lost count=");
    server.stop();
}

BOOST_AUTO_TEST_CASE(nor_after_an_upgrade) {
    for (const bool is_socket : {false, true}) {
        const Stream stream = is_socket ? Stream::socket() : Stream::pipe();
        UpgradableDaemon server(logging_to_stderr([&] { print_to(stream.writing.get()); }));
        server.start();
        stream.fill();
        server.install({.version = "2.0"});
        server.send(SIGUSR2);
        server.wait_for_note({"READY=1", "X_PREFORKD_GENERATION=2"});
        check_that_it_serves(server, 3);
        BOOST_TEST(stream.waits());
        check_that_losses_are_told(stream, server);
        server.stop();
    }
}

BOOST_AUTO_TEST_SUITE_END()
