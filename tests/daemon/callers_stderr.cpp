#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>

#include "client.hpp"
#include "daemon.hpp"
#include "deadline.hpp"
#include "needs_root.hpp"
#include "shared/syscalls.hpp"

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

BOOST_AUTO_TEST_SUITE_END()
