#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "daemon.hpp"
#include "deadline.hpp"
#include "variant.hpp"

// preforkctl status --watch, on a terminal and elsewhere.

using namespace preforkd::testing;
using preforkd::UniqueFd;

namespace {

/// What a program prints, as it comes.
class Printed {
  public:
    explicit Printed(UniqueFd source) : source_(std::move(source)) {}
    /// Waits for `part` and forgets all up to its end.
    void wait_for(const std::string& part) {
        const Deadline deadline;
        std::size_t at = 0;
        while ((at = text_.find(part)) == std::string::npos)
            BOOST_REQUIRE_MESSAGE(more(deadline), "no '" << part << "' in '" << text_ << "'");
        text_.erase(0, at + part.size());
    }
    /// Waits for its end; what was left.
    std::string rest() {
        for (const Deadline deadline; more(deadline);) {
        }
        return text_;
    }

  private:
    bool more(const Deadline& deadline) {
        if (!preforkd::testing::wait_for(source_.get(), POLLIN, deadline)) return false;
        char chunk[4096];
        const ssize_t size =
            ::read(source_.get(), chunk, sizeof chunk);  // EIO: no terminal any more
        if (size > 0) text_.append(chunk, static_cast<std::size_t>(size));
        return size > 0;
    }
    UniqueFd source_;
    std::string text_;
};

/// A terminal of 80 columns and so many rows.
struct Terminal {
    UniqueFd ours{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    std::string name;

    explicit Terminal(unsigned short rows) {
        BOOST_REQUIRE(::grantpt(ours.get()) == 0 && ::unlockpt(ours.get()) == 0);
        name = ::ptsname(ours.get());
        const winsize size{rows, 80, 0, 0};
        BOOST_REQUIRE(::ioctl(ours.get(), TIOCSWINSZ, &size) == 0);
    }
    /// In a child: becomes its controlling terminal and descriptors 0, 1 and 2.
    void take_over() const {
        ::setsid();
        (void)std::signal(SIGINT, SIG_DFL);  // whoever started the test may ignore it
        const int theirs = ::open(name.c_str(), O_RDWR);
        for (const int descriptor : {0, 1, 2})
            if (::dup2(theirs, descriptor) < 0) ::_exit(96);
        ::close(theirs);
    }
    void type(const std::string& keys) const {
        BOOST_TEST(::write(ours.get(), keys.data(), keys.size()) ==
                   static_cast<ssize_t>(keys.size()));
    }
    [[nodiscard]] termios settings() const {
        termios settings{};
        BOOST_TEST(::tcgetattr(ours.get(), &settings) == 0);
        return settings;
    }
    [[nodiscard]] UniqueFd copy() const {
        return UniqueFd(::fcntl(ours.get(), F_DUPFD_CLOEXEC, 0));
    }
};

const std::string top = "\x1b[?7l\x1b[H", bottom = "\x1b[J\x1b[?7h";

}  // namespace

BOOST_AUTO_TEST_SUITE(watch)

BOOST_AUTO_TEST_CASE(who_watches_on_a_terminal_sees_changes_in_place_until_ctrl_c) {
    UpgradableDaemon server;
    server.start();
    const Terminal terminal(40);
    Command command = preforkctl_command(server.lock_file(), {"status", "--watch"});
    command.before_exec = [&] { terminal.take_over(); };
    const termios before = terminal.settings();
    Execution watching = execute(command);
    Printed seen(terminal.copy());
    seen.wait_for(top + "probed 1.0  running, pid " + std::to_string(server.pid()));
    seen.wait_for("generation 1");
    seen.wait_for(bottom);
    server.send(SIGHUP);
    seen.wait_for("generation 2");
    seen.wait_for("last reload: ok");
    seen.wait_for(bottom);
    // It is another program with a scoreboard of its own from here on.
    server.upgrade_to("2.0");
    seen.wait_for(top + "probed 2.0  running");
    seen.wait_for(bottom);
    terminal.type("\x03");
    BOOST_TEST(watching.process.reap() == killed_by(SIGINT));
    BOOST_TEST(seen.rest() == "^C");
    const termios after = terminal.settings();
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): the kernel writes all of both
    BOOST_TEST(std::memcmp(&before, &after, sizeof before) == 0);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_low_terminal_shows_the_first_lines) {
    Daemon server;
    server.start();
    const Terminal terminal(6);
    Command command = preforkctl_command(server.lock_file(), {"status", "--watch"});
    command.before_exec = [&] { terminal.take_over(); };
    Execution watching = execute(command);
    Printed seen(terminal.copy());
    seen.wait_for(top + "preforkd ");
    seen.wait_for("\r\nLISTENER ");
    seen.wait_for(" more lines)\x1b[K\r\n" + bottom);
    terminal.type("\x03");
    BOOST_TEST(watching.process.reap() == killed_by(SIGINT));
    server.stop();
}

BOOST_AUTO_TEST_CASE(who_watches_through_a_pipe_gets_plain_text_until_the_server_ends) {
    Daemon server;
    server.start();
    Execution watching = execute(preforkctl_command(server.lock_file(), {"status", "--watch"}));
    Printed seen(std::move(watching.printed));
    const std::string first_line = "running, pid " + std::to_string(server.pid());
    seen.wait_for(first_line);
    seen.wait_for("worker exits: none\n\n");
    seen.wait_for(first_line);
    seen.wait_for("worker exits: none\n\n");
    server.send(SIGTERM);
    BOOST_TEST(server.outcome().exit == exited(0));
    const std::string rest = seen.rest();
    BOOST_TEST(holds_all(rest, {"has ended meanwhile"}), rest);
    BOOST_TEST(rest.find('\x1b') == std::string::npos);
    BOOST_TEST(watching.process.reap() == exited(3));
    server.check_nothing_left();
}

BOOST_AUTO_TEST_SUITE_END()
