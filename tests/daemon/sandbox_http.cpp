#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>

#include "client.hpp"
#include "daemon.hpp"
#include "master/processes.hpp"
#include "needs_root.hpp"
#include "needs_sandbox.hpp"
#include "probe.hpp"

// Everything that the http service does is possible within its sandbox, however memory is
// allocated.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::master::read_proc;

namespace {

constexpr std::size_t middle = 100'000;  // mapped
constexpr std::size_t large = 8u << 20;

/// A site with something for each way of answering.
struct Site {
    TempFolder folder;
    std::string root = folder / "site";

    Site() {
        std::filesystem::create_directories(root + "/list");
        std::ofstream(root + "/small.txt") << "small\n";
        std::ofstream(root + "/middle.bin") << std::string(middle, 'x');
        std::ofstream(root + "/large.bin") << std::string(large, 'x');
        std::ofstream(root + "/list/one.txt") << "one\n";
        std::ofstream(root + "/404.html") << "lost\n";
        std::filesystem::create_symlink("small.txt", root + "/link.txt");
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path()))
            if (!entry.is_symlink()) ::chmod(entry.path().c_str(), 0755);
        BOOST_REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    }
    [[nodiscard]] std::string keys() const {
        return "root = " + root + "\nlisting = yes\nerror_page = 404 " + root + "/404.html\n";
    }
};

std::string get(const std::string& address, const std::string& path,
                const std::string& fields = "") {
    Client client(address);
    client.send("GET " + path + " HTTP/1.1\r\nHost: test\r\n" + fields +
                "Connection: close\r\n\r\n");
    return client.receive_rest();
}

void answer_everything(const std::string& address) {
    BOOST_TEST(get(address, "/small.txt").ends_with("\r\n\r\nsmall\n"));
    BOOST_TEST(get(address, "/link.txt").ends_with("\r\n\r\nsmall\n"));
    BOOST_TEST(get(address, "/middle.bin").size() > middle);
    BOOST_TEST(get(address, "/large.bin").size() > large);
    BOOST_TEST(get(address, "/large.bin", "Range: bytes=5-9\r\n").ends_with("\r\n\r\nxxxxx"));
    BOOST_TEST(get(address, "/list/").find("one.txt") != std::string::npos);
    BOOST_TEST(get(address, "/none").starts_with("HTTP/1.1 404 "));
    BOOST_TEST(get(address, "/../../etc/passwd").find("root:") == std::string::npos);
    Client bad(address);
    bad.send("nonsense\r\n\r\n");
    BOOST_TEST(bad.receive_rest().starts_with("HTTP/1.1 400 "));
    Client body(address);
    body.send(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\nConnection: close\r\n\r\n");
    body.send(std::string(200000, 'b'));
    BOOST_TEST(body.receive_rest().starts_with("HTTP/1.1 405 "));
}

/// Memory for many at once, and given back.
void crowd(const std::string& address) {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 200; ++i) {
        clients.push_back(std::make_unique<Client>(address));
        clients.back()->send("GET /small.txt HTTP/1.1\r\nHost: test\r\nX-Long: " +
                             std::string(4000, 'h'));
    }
    for (const auto& client : clients) {
        client->send("\r\nConnection: close\r\n\r\n");
        BOOST_TEST(client->receive_rest().ends_with("small\n"));
    }
}

/// One worker that lives through all of it, logs elsewhere, and leaves by itself. `library` is
/// loaded into it, before all others.
void live_a_life(std::string environment, const std::string& library = "") {
    if (!library.empty()) environment += ";LD_PRELOAD=" + library;
    const Site site;
    const std::string access_log = site.folder / "access.log";
    Daemon server({.keys = "workers = 1\naccess_log = " + access_log + "\n",
                   .sections = listener("web", "http", site.keys()),
                   .environment = {std::string(worker_environment) + "=" + environment},
                   .probe = true});
    server.start();
    const Process worker(server.worker("main/0"));
    if (!library.empty())
        BOOST_REQUIRE_MESSAGE(
            read_proc(preforkd::Pid{worker.pid()}, "maps").find(library) != std::string::npos,
            library << " is not installed");
    answer_everything(server.address("web"));
    crowd(server.address("web"));
    server.send(SIGUSR1);
    server.wait_for_line({"logs reopened"});
    answer_everything(server.address("web"));
    BOOST_TEST(worker.is_running());
    server.send(SIGHUP);
    server.wait_for_line({"worker exited", "generation=1", "exit status 0"});
    answer_everything(server.address("web"));
    server.stop();
    BOOST_TEST(server.count_lines({"seccomp"}) == 0u);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sandbox_http, *precondition(needs_sandbox))

BOOST_AUTO_TEST_CASE(http_needs_no_more_than_it_declares) {
    live_a_life("");
}

BOOST_AUTO_TEST_CASE(nor_with_other_settings_of_the_c_librarys_allocator) {
    for (const char* const tunables :
         {"glibc.malloc.mmap_threshold=4096:glibc.malloc.trim_threshold=4096",
          "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0",
          "glibc.malloc.perturb=165:glibc.malloc.top_pad=1", "glibc.malloc.hugetlb=1"}) {
        BOOST_TEST_CONTEXT(tunables) live_a_life(std::string("GLIBC_TUNABLES=") + tunables);
    }
}

BOOST_AUTO_TEST_CASE(nor_with_an_allocator_that_checks_and_one_that_is_another,
                     *precondition(needs_root)) {
    // The first comes with the C library; its search path has both.
    live_a_life("GLIBC_TUNABLES=glibc.malloc.check=3", "libc_malloc_debug.so.0");
    live_a_life("MALLOC_CONF=junk:true,dirty_decay_ms:0", "libjemalloc.so.2");
}

BOOST_AUTO_TEST_SUITE_END()
