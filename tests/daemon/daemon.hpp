#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "command.hpp"
#include "inbox.hpp"
#include "processes.hpp"
#include "unit/process_support.hpp"

namespace preforkd::testing {

/// An address of the loopback interface that no other test process uses, so that a port is still
/// free after its server has gone, and refuses connections.
[[nodiscard]] std::string own_ip();

/// A [listen.NAME] section at own_ip(); the kernel chooses the port.
[[nodiscard]] std::string listener(const std::string& name, const std::string& service = "echo",
                                   const std::string& more = "");

/// What a server is started with.
struct Setup {
    std::string keys = "workers = 2\n";  ///< lines above the sections
    std::string sections = listener("echo");
    std::vector<std::string> arguments{};    ///< after -c FILE
    std::vector<std::string> environment{};  ///< NAME=VALUE, besides NOTIFY_SOCKET
    /// What a careless parent does to the process that becomes the server, before the exec.
    std::function<void()> parent{};
    std::string name = "preforkd";       ///< that it is started by
    bool probe = false;                  ///< the test's own program, which offers the probe service
    std::vector<std::string> wrapper{};  ///< a program and its arguments that executes it
    std::string error_log{};             ///< by default a FIFO that is read here
    std::string output_log{};            ///< by default the error log
};

/// A real server with its configuration, lock, logs and sockets in a folder of its own. Ends all
/// that it started, and prints what was seen of it if the test has failed.
class Daemon {
  public:
    explicit Daemon(Setup setup = {});
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    ~Daemon();

    // ---- Starting ----

    /// In the foreground with NOTIFY_SOCKET; returns once it has said READY.
    void start();
    /// The same without waiting for anything.
    void begin();
    /// As a daemon, without NOTIFY_SOCKET; returns once its launcher has exited 0. The server, our
    /// child by then, is process().
    void launch();
    /// The same without waiting for anything; the launcher is process().
    void begin_launch();
    /// The server that holds the lock, our child, becomes process().
    void adopt();
    /// Waits for process() to end.
    Outcome outcome();

    /// Writes the configuration file anew.
    void configure(const std::string& keys, const std::string& sections);
    void configure(const std::string& sections) { configure(setup_.keys, sections); }

    // ---- The server ----

    [[nodiscard]] Process& process() { return process_; }
    [[nodiscard]] pid_t pid() const { return process_.pid(); }
    /// Sends the master a signal; waits see what comes after it.
    void send(int signal);
    /// Where listener `name` really listens; its `number`-th address, if it has several.
    [[nodiscard]] std::string address(const std::string& name = "echo", std::size_t number = 0);
    [[nodiscard]] std::vector<pid_t> workers() const { return children_of(pid()); }
    /// The processes of it that we may look into: not the workers unless we are root, for an
    /// undumpable process is closed to its own user as well. proc(5), /proc/pid
    [[nodiscard]] std::vector<pid_t> open_to_us() const;
    /// The worker of that name, such as "main/0 gen 2".
    [[nodiscard]] pid_t worker(const std::string& name) const {
        return child_titled(pid(), "worker " + name);
    }

    // ---- What it says ----

    [[nodiscard]] Inbox& inbox() { return inbox_; }
    /// Waits for a line of the error log that holds all of `parts` and came after the last mark.
    std::string wait_for_line(const std::vector<std::string>& parts);
    /// The same of a message to NOTIFY_SOCKET.
    std::string wait_for_note(const std::vector<std::string>& parts);
    /// Of those that have come since the mark.
    [[nodiscard]] std::size_t count_lines(const std::vector<std::string>& parts);
    /// Fails the test with `what` at the deadline, or when the server ends before.
    void wait_for(const std::string& what, const std::function<bool()>& condition);
    void mark() { inbox_.mark(); }

    // ---- Its end ----

    /// TERM, exit status 0, and nothing left.
    void stop();
    /// No process, lock or open log of it, and nobody at its addresses.
    void check_nothing_left();

    // ---- Its folder ----

    [[nodiscard]] const TempFolder& folder() const { return folder_; }
    [[nodiscard]] std::string lock_file() const { return folder_ / "lock"; }
    [[nodiscard]] std::string config_file() const { return folder_ / "test.conf"; }
    [[nodiscard]] std::string error_log() const;
    /// The pid in the lock file.
    [[nodiscard]] std::optional<pid_t> locked_by() const;
    /// Makes the folder and all in it another user's.
    void give_to(uid_t user, gid_t group) const;

    /// How begin() or begin_launch() executes it.
    [[nodiscard]] Command command(bool with_notify_socket) const;

  private:
    void execute(bool with_notify_socket);
    /// Addresses by their listeners' names, as each generation announced them.
    using Announcement = std::multimap<std::string, std::string>;
    [[nodiscard]] std::vector<Announcement> announcements();
    [[nodiscard]] std::string all_seen();

    Setup setup_;
    TempFolder folder_;
    Inbox inbox_;
    Process process_;
};

}  // namespace preforkd::testing
