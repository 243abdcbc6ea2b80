#include "daemon.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/results_collector.hpp>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utility>

#include "client.hpp"
#include "probe.hpp"

namespace preforkd::testing {
namespace {

bool test_has_failed() {
    const auto id = boost::unit_test::framework::current_test_case_id();
    const auto& results = boost::unit_test::results_collector.results(id);
    return results.p_assertions_failed > 0 || results.p_aborted;
}

/// The values of `key` in lines of the form "EVENT key=VALUE ...".
std::string value_of(const std::string& line, const std::string& key) {
    const auto begin = line.find(" " + key + "=");
    if (begin == std::string::npos) return {};
    const auto value = begin + key.size() + 2;
    return line.substr(value, line.find(' ', value) - value);
}

}  // namespace

std::string own_ip() {
    const int pid = ::getpid();
    return fmt::format("127.{}.{}.{}", 64 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255);
}

std::string listener(const std::string& name, const std::string& service, const std::string& more) {
    return fmt::format("[listen.{}]\naddress = {}:0\nservice = {}\n{}", name, own_ip(), service,
                       more);
}

Daemon::Daemon(Setup setup)
    : setup_(std::move(setup)), inbox_(folder_ / "notify", folder_ / "error.log") {
    // Whatever loses its parent becomes our child, and its end ours to see.
    BOOST_REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    configure(setup_.keys, setup_.sections);
}

Daemon::~Daemon() {
    if (test_has_failed()) std::cerr << all_seen();
    process_.kill_and_reap();
    end_all_children();
}

// ---- Starting ----

void Daemon::configure(const std::string& keys, const std::string& sections) {
    std::ofstream file(config_file());
    file << "lock_file = " << lock_file() << "\nruntime_dir = " << folder_.path()
         << "\nerror_log = " << error_log() << "\n";
    if (!setup_.output_log.empty()) file << "output_log = " << setup_.output_log << "\n";
    file << keys << sections;
    file.close();
    BOOST_REQUIRE(file);
}

Command Daemon::command(bool with_notify_socket) const {
    Command command;
    if (setup_.probe) command.program = "/proc/self/exe";
    command.arguments = {setup_.probe ? probe_program : setup_.name, "-c", config_file()};
    command.arguments.insert(command.arguments.end(), setup_.arguments.begin(),
                             setup_.arguments.end());
    if (!setup_.wrapper.empty()) {
        command.arguments.front() = std::exchange(command.program, setup_.wrapper.front());
        command.arguments.insert(command.arguments.begin(), setup_.wrapper.begin(),
                                 setup_.wrapper.end());
    }
    command.environment = sanitizer_options();
    if (with_notify_socket) command.environment.push_back("NOTIFY_SOCKET=" + (folder_ / "notify"));
    command.environment.insert(command.environment.end(), setup_.environment.begin(),
                               setup_.environment.end());
    command.before_exec = setup_.parent;
    return command;
}

void Daemon::execute(bool with_notify_socket) {
    inbox_.mark();
    inbox_.open_log();
    Execution execution = preforkd::testing::execute(command(with_notify_socket));
    process_ = std::move(execution.process);
    inbox_.listen_to(std::move(execution.printed));
}

void Daemon::begin() {
    execute(true);
}

void Daemon::begin_launch() {
    execute(false);
}

void Daemon::start() {
    begin();
    wait_for_note({"READY=1"});
}

void Daemon::launch() {
    begin_launch();
    const Outcome launcher = outcome();
    BOOST_REQUIRE_MESSAGE(launcher.exit == exited(0), "launcher: " << launcher.exit << "\n"
                                                                   << launcher.printed
                                                                   << all_seen());
    adopt();
}

void Daemon::adopt() {
    BOOST_REQUIRE(locked_by().has_value());
    process_ = Process(*locked_by());
    BOOST_TEST(stat_of(pid()).parent == ::getpid());
}

Outcome Daemon::outcome() {
    const bool ended =
        inbox_.wait_until([] { return false; }, process_.pidfd()) || !process_.is_running();
    BOOST_REQUIRE_MESSAGE(ended, "process " << pid() << " doesn't end\n" << all_seen());
    inbox_.gather();
    return {process_.reap(), inbox_.printed()};
}

// ---- The server ----

void Daemon::send(int signal) {
    mark();
    process_.send(signal);
}

std::vector<Daemon::Announcement> Daemon::announcements() {
    inbox_.gather();
    std::vector<Announcement> all;
    if (!setup_.error_log.empty()) {
        for (const std::string& note : inbox_.all_notes()) {
            if (!holds_all(note, {"X_PREFORKD_LISTEN="})) continue;
            all.emplace_back();
            std::istringstream lines(note);
            for (std::string key, name, address; std::getline(lines, key, '=');)
                if (key != "X_PREFORKD_LISTEN")
                    std::getline(lines, key);
                else if (lines >> name >> address >> std::ws)
                    all.back().emplace(name, address);
        }
        return all;
    }
    std::istringstream log(inbox_.whole_log());
    Announcement next;
    for (std::string line; std::getline(log, line);) {
        if (holds_all(line, {" listening listener="}))
            next.emplace(value_of(line, "listener"), value_of(line, "address"));
        if (holds_all(line, {" ready generation="}) || holds_all(line, {"reload ok"}) ||
            holds_all(line, {"upgrade ok"}))
            all.push_back(std::exchange(next, {}));
    }
    return all;
}

std::string Daemon::address(const std::string& name, std::size_t number) {
    const auto all = announcements();
    BOOST_REQUIRE_MESSAGE(!all.empty() && number < all.back().count(name),
                          "no address of listener " << name << all_seen());
    // Those of one name stand in the order in which they were announced.
    return std::next(all.back().lower_bound(name), static_cast<int>(number))->second;
}

std::vector<pid_t> Daemon::open_to_us() const {
    std::vector<pid_t> processes;
    if (::geteuid() == 0) processes = workers();
    processes.push_back(pid());
    return processes;
}

// ---- What it says ----

void Daemon::wait_for(const std::string& what, const std::function<bool()>& condition) {
    const int server = process_.is_running() ? process_.pidfd() : -1;
    BOOST_REQUIRE_MESSAGE(inbox_.wait_until(condition, server),
                          "waited in vain for: " << what << "\n"
                                                 << all_seen());
}

namespace {

std::optional<std::string> find(const std::vector<std::string>& texts,
                                const std::vector<std::string>& parts) {
    for (const std::string& text : texts)
        if (holds_all(text, parts)) return text;
    return std::nullopt;
}

std::string listed(const std::vector<std::string>& parts) {
    std::string list;
    for (const std::string& part : parts) list += "'" + part + "' ";
    return list;
}

}  // namespace

std::string Daemon::wait_for_line(const std::vector<std::string>& parts) {
    std::optional<std::string> line;
    wait_for("log line with " + listed(parts),
             [&] { return (line = find(inbox_.log_lines(), parts)).has_value(); });
    return *line;
}

std::string Daemon::wait_for_note(const std::vector<std::string>& parts) {
    std::optional<std::string> note;
    wait_for("message with " + listed(parts),
             [&] { return (note = find(inbox_.notes(), parts)).has_value(); });
    return *note;
}

std::size_t Daemon::count_lines(const std::vector<std::string>& parts) {
    inbox_.gather();
    const auto lines = inbox_.log_lines();
    return static_cast<std::size_t>(std::count_if(
        lines.begin(), lines.end(), [&](const auto& line) { return holds_all(line, parts); }));
}

// ---- Its end ----

void Daemon::stop() {
    send(SIGTERM);
    BOOST_TEST(outcome().exit == exited(0));
    check_nothing_left();
}

void Daemon::check_nothing_left() {
    // The log is closed when the last process that had it is gone.
    BOOST_TEST(inbox_.wait_for_end_of_log());
    // Orphans are ours to reap; one that lives on fails the test.
    for (const pid_t child : children_of(::getpid())) (void)Process(child).reap();
    BOOST_TEST(!std::filesystem::exists(lock_file()));
    for (const Announcement& listeners : announcements())
        for (const auto& [name, address] : listeners)
            BOOST_TEST(try_to_connect(address) != 0, name << " is still at " << address);
}

// ---- Its folder ----

std::string Daemon::error_log() const {
    return setup_.error_log.empty() ? folder_ / "error.log" : setup_.error_log;
}

std::optional<pid_t> Daemon::locked_by() const {
    std::ifstream file(lock_file());
    pid_t pid = 0;
    if (!(file >> pid)) return std::nullopt;
    return pid;
}

void Daemon::give_to(uid_t user, gid_t group) const {
    BOOST_REQUIRE(::chown(folder_.path().c_str(), user, group) == 0);
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
        BOOST_REQUIRE(::lchown(entry.path().c_str(), user, group) == 0);
}

std::string Daemon::all_seen() {
    inbox_.gather();
    std::ostringstream text;
    text << "---- configuration\n";
    if (std::filesystem::is_regular_file(config_file()))  // see hostile_files.cpp
        text << std::ifstream(config_file()).rdbuf();
    text << "---- messages\n";
    for (const std::string& note : inbox_.all_notes()) text << note << "\n";
    text << "---- printed\n" << inbox_.printed() << "---- log\n" << inbox_.whole_log();
    text << "---- processes\n";
    for (const pid_t parent : {::getpid(), pid()})
        for (const pid_t child : children_of(parent))
            text << child << " of " << parent << " " << stat_of(child).state << " "
                 << title_of(child) << "\n";
    return text.str();
}

}  // namespace preforkd::testing
