#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <regex>

#include "client.hpp"
#include "daemon.hpp"
#include "deadline.hpp"
#include "needs_root.hpp"

// error_log = syslog, with a system log of the test's own at the /dev/log that only the server
// sees.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::UniqueFd;

namespace {

constexpr int notice = 29, info = 30, warning = 28, error = 27;  // facility daemon. syslog(3)

/// What listens at a socket as a system log does.
class SystemLog {
  public:
    explicit SystemLog(const std::string& path)
        : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        BOOST_REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                             sizeof address) == 0);
        BOOST_REQUIRE(::chmod(path.c_str(), 0666) == 0);
    }

    /// Waits for a datagram that holds all of `parts`.
    std::string wait_for(const std::vector<std::string>& parts) {
        const Deadline deadline;
        for (std::string line; preforkd::testing::wait_for(socket_.get(), POLLIN, deadline);)
            if (line = receive(); holds_all(line, parts)) return line;
        BOOST_FAIL("no line with " << parts.front() << " in\n" << all_);
        return {};
    }
    /// All datagrams so far, each in a line.
    [[nodiscard]] const std::string& all() const { return all_; }

  private:
    std::string receive() {
        std::string text(65536, '\0');
        const ssize_t size = ::recv(socket_.get(), text.data(), text.size(), 0);
        BOOST_REQUIRE(size > 0);
        text.resize(static_cast<std::size_t>(size));
        BOOST_TEST(text.find('\n') == std::string::npos, text);
        all_ += text + "\n";
        return text;
    }
    UniqueFd socket_;
    std::string all_;
};

/// A /dev that holds what a server needs, and where `log` leads to the test's own.
struct Devices {
    TempFolder folder;
    std::string dev = folder / "dev", log = folder / "log";

    Devices() {
        std::filesystem::create_directory(dev);
        BOOST_REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
        for (const std::string name : {"null", "zero", "urandom"}) std::ofstream(dev + "/" + name);
        std::filesystem::create_symlink(log, dev + "/log");
    }
    /// In a child: makes it the /dev of its own.
    void become() const {
        bool done =
            ::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0;
        for (const std::string name : {"null", "zero", "urandom"})
            done = done && ::mount(("/dev/" + name).c_str(), (dev + "/" + name).c_str(), "",
                                   MS_BIND, nullptr) == 0;
        done = done && ::mount(dev.c_str(), "/dev", "", MS_BIND | MS_REC, nullptr) == 0;
        if (!done) ::_exit(95);
    }
    [[nodiscard]] Setup setup(const std::string& keys = "workers = 2\n") const {
        return {.keys = keys,
                .sections = listener("echo", "probe"),
                .parent = [this] { become(); },
                .probe = true,
                .error_log = "syslog"};
    }
};

/// Whether `line` is one as syslog(3) sends it: priority, local time, program, pid, text.
bool is_line(const std::string& line, int priority, pid_t pid, const std::string& text) {
    const std::regex form(
        "<(\\d+)>[A-Z][a-z]{2} [ 0-3]\\d \\d\\d:\\d\\d:\\d\\d (\\w+)\\[(\\d+)\\]: (.*)");
    std::smatch found;
    return std::regex_match(line, found, form) && found[1] == std::to_string(priority) &&
           found[2] == "probed" && found[3] == std::to_string(pid) && found[4] == text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(syslog, *precondition(needs_root))

BOOST_AUTO_TEST_CASE(each_event_is_one_datagram_of_its_priority) {
    const Devices devices;
    SystemLog log(devices.log);
    Daemon server(devices.setup());
    server.start();
    log.wait_for({"ready generation=1"});
    server.send(SIGHUP);
    const std::string line = log.wait_for({"reload ok"});
    BOOST_TEST(is_line(line, notice, server.pid(), "notice reload ok generation=2"), line);

    const pid_t worker = server.worker("main/0 gen 2");
    Process(worker).send(SIGKILL);
    const std::string exit = log.wait_for({"worker exited", "slot=main/0 ", "generation=2"});
    BOOST_TEST(exit.starts_with("<" + std::to_string(warning) + ">"), exit);
    const std::string ready = log.wait_for({"worker ready", "slot=main/0 "});
    BOOST_TEST(ready.starts_with("<" + std::to_string(info) + ">"), ready);
    server.stop();
    log.wait_for({"stopped"});
}

BOOST_AUTO_TEST_CASE(what_workers_log_comes_with_their_pid_and_can_not_forge_a_line) {
    const Devices devices;
    SystemLog log(devices.log);
    Daemon server(devices.setup());
    server.start();
    Client client(server.address());
    const pid_t worker = std::stoi(client.ask("pid"));
    BOOST_TEST(client.ask("log a\x1b[2J<0>b\tc\x7f") == "ok");
    const std::string line = log.wait_for({"<0>b"});
    BOOST_TEST(holds_all(line, {"probed[" + std::to_string(worker) + "]: info ",
                                "a\\x1b[2J<0>b\\x09c\\x7f"}),
               line);
    BOOST_TEST(line.starts_with("<" + std::to_string(info) + ">"));
    server.stop();
}

BOOST_AUTO_TEST_CASE(faults_of_a_file_are_one_line_with_their_quotes_escaped) {
    const Devices devices;
    SystemLog log(devices.log);
    Daemon server(devices.setup());
    server.start();
    server.configure("workers = \"many\"\ndrain_timout = 3s\n", listener("echo", "probe"));
    server.send(SIGHUP);
    const std::string line = log.wait_for({"reload refused"});
    BOOST_TEST(line.starts_with("<" + std::to_string(error) + ">"), line);
    BOOST_TEST(holds_all(line, {"\\\"many\\\"", "drain_timout"}), line);
    server.stop();
}

BOOST_AUTO_TEST_CASE(without_a_system_log_the_start_is_refused_with_what_to_do) {
    const Devices devices;
    Daemon server(devices.setup());
    server.begin();
    const Outcome outcome = server.outcome();
    BOOST_TEST(outcome.exit == exited(1));
    BOOST_TEST(
        holds_all(outcome.printed, {"can't open error_log '/dev/log': No such file or directory",
                                    "is a system log running?"}),
        outcome.printed);
}

BOOST_AUTO_TEST_CASE(a_system_log_that_is_started_anew_gets_the_lines_again) {
    // A restarted rsyslogd got nothing more until USR1 reopened the log: a datagram socket stays
    // connected to the one that has gone.
    const Devices devices;
    std::optional<SystemLog> log;
    log.emplace(devices.log);
    Daemon server(devices.setup());
    server.start();
    log->wait_for({"ready generation=1"});
    Client client(server.address());
    log.reset();
    std::filesystem::remove(devices.log);
    for (int i = 0; i < 3; ++i) BOOST_TEST(client.ask("log lost") == "ok");
    server.send(SIGHUP);
    server.wait_for_note({"STATUS=running", "reload refused", "'/dev/log'"});
    BOOST_TEST(client.ask("hello") == "hello");

    log.emplace(devices.log);
    server.send(SIGTTIN);
    const std::string loss = log->wait_for({"warning log lines were lost count="});
    BOOST_TEST(holds_all(loss, {"probed[" + std::to_string(server.pid()) + "]"}), loss);
    log->wait_for({"worker ready", "slot=main/2"});
    // Workers have the same open socket.
    BOOST_TEST(client.ask("log again") == "ok");
    log->wait_for({"info again"});
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_stuck_system_log_delays_nobody) {
    const Devices devices;
    SystemLog log(devices.log);
    Daemon server(devices.setup("workers = 1\n"));
    server.start();
    // More than its queue takes; see net.unix.max_dgram_qlen.
    Client client(server.address());
    for (int i = 0; i < 2000; ++i) BOOST_TEST(client.ask("log into the queue") == "ok");
    log.wait_for({"into the queue"});
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
