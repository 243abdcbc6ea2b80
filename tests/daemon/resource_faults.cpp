#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "client.hpp"
#include "daemon.hpp"
#include "deadline.hpp"
#include "file_events.hpp"
#include "needs_root.hpp"
#include "needs_sandbox.hpp"
#include "shared/syscalls.hpp"
#include "worker/seccomp.hpp"

// Disks, descriptors and memory that run out: what can't be done is told, and the rest goes on.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::UniqueFd;
using preforkd::write_all;

namespace {

std::string content_of(const std::string& path) {
    std::ostringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
}

/// In a child: a file system of 64 KiB of its own, at `folder`.
void mount_small_disk(const std::string& folder) {
    if (::unshare(CLONE_NEWNS) < 0 || ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) < 0 ||
        ::mount("small", folder.c_str(), "tmpfs", 0, "size=64k,mode=0755") < 0)
        ::_exit(95);
}

/// A group of processes below our own that together have so much memory, until the object ends.
/// Source: cgroups(7), Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst.
class MemoryLimit {
  public:
    explicit MemoryLimit(std::size_t bytes)
        : folder_(own_group() + "/preforkd-test-" + std::to_string(::getpid())) {
        if (::mkdir(folder_.c_str(), 0755) < 0) return;
        // Without O_CREAT: only one of them is there, if any.
        for (const char* const file : {"memory.limit_in_bytes", "memory.max"})
            is_set_ = write_to(file, std::to_string(bytes)) || is_set_;
        (void)write_to("memory.swap.max", "0");
    }
    MemoryLimit(const MemoryLimit&) = delete;
    MemoryLimit& operator=(const MemoryLimit&) = delete;
    ~MemoryLimit() { ::rmdir(folder_.c_str()); }

    [[nodiscard]] bool is_set() const { return is_set_; }
    /// The calling process, and those that it starts.
    void apply() const {
        if (!write_to("cgroup.procs", "0")) ::_exit(93);
    }

  private:
    [[nodiscard]] bool write_to(const std::string& name, const std::string& text) const {
        const UniqueFd file(::open((folder_ + "/" + name).c_str(), O_WRONLY | O_CLOEXEC));
        return file.is_open() && !write_all(file.get(), text);
    }
    static std::string own_group() {
        std::ifstream groups("/proc/self/cgroup");
        std::string unified;
        for (std::string line; std::getline(groups, line);) {
            const std::size_t path = line.find(":/") + 1;
            if (line.find(":memory:") != std::string::npos)
                return "/sys/fs/cgroup/memory" + line.substr(path);
            if (line.starts_with("0::")) unified = "/sys/fs/cgroup" + line.substr(path);
        }
        return unified;
    }
    std::string folder_;
    bool is_set_ = false;
};

boost::test_tools::assertion_result may_limit_memory(boost::unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(::geteuid() == 0 &&
                                               !preforkd::worker::is_sanitizer_build() &&
                                               MemoryLimit(1 << 30).is_set());
    result.message()
        << "needs root and a memory cgroup that it may divide, and no sanitizer, which "
           "takes more memory itself";
    return result;
}

/// Looks until the worker has counted them, which it does once a second.
bool shows_lost_lines(const Daemon& server) {
    const std::string name = "\npreforkd_worker_log_lines_dropped_total{";
    for (const Deadline deadline; deadline.milliseconds_left() > 0;) {
        const std::string metrics = run_preforkctl(server.lock_file(), {"metrics"}).printed;
        const std::size_t value = metrics.find("} ", metrics.find(name));
        if (value != std::string::npos && metrics[value + 2] != '0') return true;
    }
    return false;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resource_faults)

BOOST_AUTO_TEST_CASE(a_full_disk_under_the_logs_costs_lines_and_nothing_else,
                     *precondition(needs_root)) {
    const TempFolder outside;
    const std::string folder = outside / "log", log = folder + "/error.log";
    std::filesystem::create_directory(folder);
    Daemon server({.keys = "workers = 1\n",
                   .sections = listener("echo", "probe"),
                   .parent = [folder] { mount_small_disk(folder); },
                   .probe = true,
                   .error_log = log});
    server.start();
    // What only the server sees.
    const std::string inside = "/proc/" + std::to_string(server.pid()) + "/root";
    const pid_t worker = server.worker("main/0");
    Client client(server.address());
    const std::string line(1000, 'x');
    for (int i = 0; i < 100; ++i) BOOST_TEST(client.ask("log " + line) == "ok");
    BOOST_TEST(client.ask("hello") == "hello");
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    BOOST_TEST(content_of(inside + log).size() < 65537u);
    BOOST_TEST(shows_lost_lines(server));
    BOOST_REQUIRE(::truncate((inside + log).c_str(), 0) == 0);
    BOOST_TEST(client.ask("log after") == "ok");
    const std::string text = content_of(inside + log);
    BOOST_TEST(text.find("log lines were lost count=") != std::string::npos, text);
    BOOST_TEST(text.find(" after") != std::string::npos, text);
    BOOST_TEST(server.worker("main/0") == worker);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_full_disk_under_the_access_log_costs_its_lines_and_nothing_else,
                     *precondition(needs_root)) {
    const TempFolder outside, site;
    const std::string folder = outside / "log", log = folder + "/access.log";
    std::filesystem::create_directory(folder);
    std::filesystem::permissions(site.path(), std::filesystem::perms(0755));
    std::ofstream(site / "file") << "file\n";
    Daemon server({.keys = "workers = 1\naccess_log = " + log + "\n",
                   .sections = listener("web", "http", "root = " + site.path() + "\n"),
                   .parent = [folder] { mount_small_disk(folder); }});
    server.start();
    const std::string inside = "/proc/" + std::to_string(server.pid()) + "/root";
    const pid_t worker = server.worker("main/0");
    Client client(server.address("web"));
    const auto get = [&](const std::string& query) {
        client.send("GET /file?" + query + " HTTP/1.1\r\nHost: test\r\n\r\n");
        BOOST_TEST(client.receive_line() == "HTTP/1.1 200 OK\r");
        while (client.receive_line() != "\r") {
        }
        BOOST_TEST(client.receive(5) == "file\n");
    };
    for (int i = 0; i < 100; ++i) get(std::string(1500, 'x'));  // more than twice what fits
    const std::string told = server.wait_for_line({"access log can't be written"});
    BOOST_TEST(holds_all(told, {" error ", "No space left on device"}), told);
    BOOST_TEST(content_of(inside + log).size() < 65537u);
    BOOST_TEST(shows_lost_lines(server));
    BOOST_REQUIRE(::truncate((inside + log).c_str(), 0) == 0);
    get("after");
    const std::string again = server.wait_for_line({"access log is written again"});
    BOOST_TEST(holds_all(again, {" warning ", "lines_lost="}), again);
    BOOST_TEST(content_of(inside + log).find("GET /file?after ") != std::string::npos);
    BOOST_TEST(server.worker("main/0") == worker);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_full_disk_stops_no_reload_and_no_respawn, *precondition(needs_root)) {
    const TempFolder outside;
    const std::string folder = outside / "log", log = folder + "/error.log";
    std::filesystem::create_directory(folder);
    Daemon server({.keys = "workers = 1\naccess_log = " + folder + "/access.log\n",
                   .parent = [folder] { mount_small_disk(folder); },
                   .error_log = log});
    server.start();
    const std::string inside = "/proc/" + std::to_string(server.pid()) + "/root";
    { std::ofstream(inside + folder + "/filler") << std::string(65536, 'f'); }
    server.send(SIGHUP);
    server.wait_for_note({"READY=1"});
    server.wait_for_note({"STATUS=", "generation 2", "reload ok"});
    server.mark();
    Process(server.worker("main/0 gen 2")).send(SIGKILL);
    server.wait_for_note({"STATUS=", "0 serving"});
    server.wait_for_note({"STATUS=", "1 serving"});
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_log_folder_that_is_gone_is_told_and_its_log_made_once_it_is_back) {
    const TempFolder outside;
    const std::string folder = outside / "log", log = folder + "/error.log";
    std::filesystem::create_directory(folder);
    Daemon server({.keys = "workers = 1\n", .error_log = log});
    server.start();
    std::filesystem::remove_all(folder);
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    server.send(SIGUSR1);
    server.send(SIGHUP);
    server.wait_for_note({"STATUS=", "reload refused", "the folder '" + folder, "make it"});
    BOOST_TEST(!std::filesystem::exists(folder));
    BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    std::filesystem::create_directory(folder);
    FileEvents within(folder);
    server.send(SIGUSR1);
    BOOST_REQUIRE(within.wait_until([&] { return holds_all(content_of(log), {"logs reopened"}); }));
    server.stop();
}

void with_few_descriptors() {
    const rlimit few{24, 24};
    if (::setrlimit(RLIMIT_NOFILE, &few) < 0) ::_exit(94);
    become(user_of_our_own);
}

// Without descriptors the sanitizers' own checks fail, so these run without.

BOOST_AUTO_TEST_CASE(without_a_descriptor_left_clients_wait_and_are_served_when_one_is_free,
                     *precondition(needs_sandbox) * precondition(needs_root)) {
    Daemon server({.keys = "workers = 1\n",
                   .sections = listener("echo", "probe"),
                   .parent = with_few_descriptors,
                   .probe = true});
    server.give_to(user_of_our_own, user_of_our_own);
    server.start();
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 24; ++i) clients.push_back(std::make_unique<Client>(server.address()));
    BOOST_TEST(clients.front()->ask("hello") == "hello");
    const std::string line = server.wait_for_line({"can't accept"});
    BOOST_TEST(holds_all(line, {" error ", "Too many open files", "descriptor_limit=24"}), line);
    // Each that leaves makes room for one that waits.
    while (!clients.empty()) {
        BOOST_TEST(clients.front()->ask("hello") == "hello");
        clients.erase(clients.begin());
    }
    // Told at most once for each that waited: it does not spin.
    BOOST_TEST(server.count_lines({"can't accept"}) <= 24u);
    server.stop();
}

BOOST_AUTO_TEST_CASE(without_a_descriptor_left_http_ends_who_is_idle_for_who_waits,
                     *precondition(needs_sandbox) * precondition(needs_root)) {
    const TempFolder site;
    std::filesystem::permissions(site.path(), std::filesystem::perms(0755));
    std::ofstream(site / "file") << "file\n";
    Daemon server({.keys = "workers = 1\n",
                   .sections = listener("web", "http", "root = " + (site / "") + "\n"),
                   .parent = with_few_descriptors});
    server.give_to(user_of_our_own, user_of_our_own);
    server.start();
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 24; ++i) {
        clients.push_back(std::make_unique<Client>(server.address("web")));
        clients.back()->send("GET /file HTTP/1.1\r\nHost: test\r\n\r\n");
        while (clients.back()->receive_line() != "\r") {
        }
        BOOST_TEST(clients.back()->receive(5) == "file\n");
    }
    server.wait_for_line({"can't accept", "Too many open files"});
    BOOST_TEST(clients.front()->receive_rest() == "");
    clients.clear();
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_request_for_which_there_is_no_memory_harms_no_other,
                     *precondition(needs_sandbox)) {
    Daemon server({.keys = "workers = 1\n", .sections = listener("echo", "probe"), .probe = true});
    server.start();
    const pid_t worker = server.worker("main/0");
    Client other(server.address()), greedy(server.address());
    BOOST_TEST(other.ask("hello") == "hello");
    BOOST_TEST(greedy.ask("hello") == "hello");
    greedy.send("allocate\n");
    BOOST_TEST(!greedy.try_receive_line().has_value());
    server.wait_for_line({" error ", "bad_alloc", "service=probe", "listener=echo", "peer="});
    BOOST_TEST(other.ask("still there") == "still there");
    BOOST_TEST(Client(server.address()).ask("pid") == std::to_string(worker));
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_the_kernel_kills_for_its_memory_is_replaced,
                     *precondition(may_limit_memory)) {
    const MemoryLimit limit(std::size_t{96} << 20);
    Daemon server({.sections = listener("echo", "probe"),
                   .parent = [&limit] { limit.apply(); },
                   .probe = true});
    server.start();
    for (int round = 0; round < 3; ++round) {
        server.mark();
        Client greedy(server.address());
        const std::string worker = greedy.ask("pid");
        greedy.send("consume 512\n");
        BOOST_TEST(!greedy.try_receive_line().has_value());
        const auto line = server.wait_for_line({"worker exited", "worker=" + worker});
        BOOST_TEST(holds_all(line, {" warning ", "signal 9 (Killed)"}), line);
        server.wait_for_line({"worker ready"});
        BOOST_TEST(Client(server.address()).ask("hello") == "hello");
    }
    BOOST_TEST(server.workers().size() == 2u);
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_world_without_devices_or_processes_is_told_with_its_remedy,
                     *precondition(needs_root)) {
    const std::pair<const char*, std::vector<std::string>> worlds[] = {
        {"/dev", {"can't open /dev/null", "mknod"}}, {"/proc", {"/proc/self/exe", "mount /proc"}}};
    for (const auto& [folder, told] : worlds) {
        Daemon server({.parent = [folder = folder] { mount_small_disk(folder); }});
        server.begin();
        const Outcome outcome = server.outcome();
        BOOST_TEST(outcome.exit == exited(1));
        BOOST_TEST(holds_all(outcome.printed + server.inbox().whole_log(), told), outcome.printed);
    }
}

BOOST_AUTO_TEST_CASE(with_little_memory_a_start_serves_or_says_what_is_missing,
                     *precondition(needs_sandbox)) {
    for (const rlim_t mebibytes : {8u, 16u, 24u, 32u, 64u}) {
        Daemon server({.keys = "workers = 1\n", .parent = [mebibytes] {
                           const rlimit little{mebibytes << 20, mebibytes << 20};
                           if (::setrlimit(RLIMIT_AS, &little) < 0) ::_exit(94);
                       }});
        server.begin();
        const bool ready = server.inbox().wait_until(
            [&] {
                const auto notes = server.inbox().notes();
                return std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
                    return holds_all(note, {"READY=1"});
                });
            },
            server.process().pidfd());
        if (ready) {
            BOOST_TEST(Client(server.address()).ask("hello") == "hello");
            server.stop();
            continue;
        }
        const Outcome outcome = server.outcome();
        BOOST_TEST((outcome.exit.status != 0 || outcome.exit.signal != 0), mebibytes);
        BOOST_TEST((outcome.printed + server.inbox().whole_log()) != "", mebibytes);
    }
}

BOOST_AUTO_TEST_SUITE_END()
