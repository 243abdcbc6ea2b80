#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client.hpp"
#include "daemon.hpp"
#include "file_events.hpp"
#include "needs_root.hpp"

// Where lines go, and that they go elsewhere after USR1.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

std::string content_of(const std::string& path) {
    std::ostringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
}

/// A probe server that logs to files.
struct FileServer {
    TempFolder folder;
    std::string error_log = folder / "error.log";
    std::string output_log = folder / "output.log";
    Daemon server{{.sections = listener("echo", "probe"),
                   .probe = true,
                   .error_log = error_log,
                   .output_log = output_log}};
    FileEvents events{folder.path()};

    FileServer() { server.start(); }

    void wait_for(const std::string& path, const std::vector<std::string>& parts) {
        BOOST_REQUIRE_MESSAGE(events.wait_until([&] { return holds_all(content_of(path), parts); }),
                              path << " holds only:\n"
                                   << content_of(path));
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(logs)

BOOST_AUTO_TEST_CASE(each_event_is_one_line_with_time_level_pid_and_fields) {
    Daemon server;
    server.start();
    server.send(SIGHUP);
    const std::string line = server.wait_for_line({"reload ok"});
    // 2024-01-31T23:59:59.999Z notice 1234 reload ok generation=2
    const std::string time = "0000-00-00T00:00:00.000Z";
    BOOST_REQUIRE(line.size() > time.size());
    for (std::size_t i = 0; i < time.size(); ++i)
        BOOST_TEST((time[i] == '0' ? std::isdigit(line[i]) != 0 : line[i] == time[i]), line);
    BOOST_TEST(line.substr(time.size()) ==
               " notice " + std::to_string(server.pid()) + " reload ok generation=2");
    server.stop();
}

BOOST_AUTO_TEST_CASE(what_services_print_and_log_goes_to_the_logs_configured) {
    FileServer files;
    Client client(files.server.address());
    BOOST_TEST(client.ask("print on paper") == "ok");
    BOOST_TEST(client.ask("log in the book") == "ok");
    BOOST_TEST(content_of(files.output_log) == "on paper\n");
    files.wait_for(files.error_log, {" ready ", "in the book"});
    files.server.stop();
}

BOOST_AUTO_TEST_CASE(the_log_level_decides_what_is_left_out) {
    Daemon server({.keys = "workers = 2\nlog_level = notice\n"});
    server.start();
    server.send(SIGTERM);
    BOOST_TEST(server.outcome().exit == exited(0));
    server.inbox().gather();
    const std::string& log = server.inbox().whole_log();
    BOOST_TEST(log.find(" notice ") != std::string::npos);
    BOOST_TEST(log.find(" info ") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(after_usr1_master_and_workers_write_to_the_new_files) {
    FileServer files;
    Client first(files.server.address());
    BOOST_TEST(first.ask("print before") == "ok");
    for (const std::string& log : {files.error_log, files.output_log})
        std::filesystem::rename(log, log + ".1");
    files.events.forget();
    files.server.send(SIGUSR1);
    // Each old file is closed once nobody, neither master nor worker, has it any more.
    BOOST_REQUIRE(files.events.wait_for_close("error.log.1"));
    BOOST_REQUIRE(files.events.wait_for_close("output.log.1"));
    files.wait_for(files.error_log, {"logs reopened"});
    for (const pid_t pid : files.server.open_to_us()) {
        if (pid == files.server.pid()) continue;  // in the foreground it keeps its caller's
        BOOST_TEST(link_of(pid, "fd/1") == files.output_log);
        BOOST_TEST(link_of(pid, "fd/2") == files.error_log);
    }
    BOOST_TEST(first.ask("print after") == "ok");
    BOOST_TEST(first.ask("log after") == "ok");
    BOOST_TEST(content_of(files.output_log) == "after\n");
    BOOST_TEST(content_of(files.output_log + ".1") == "before\n");
    BOOST_TEST(holds_all(content_of(files.error_log), {"after"}));
    files.server.stop();
}

BOOST_AUTO_TEST_CASE(a_worker_that_comes_after_usr1_has_the_new_files, *precondition(needs_root)) {
    FileServer files;
    std::filesystem::rename(files.error_log, files.error_log + ".1");
    files.events.forget();
    files.server.send(SIGUSR1);
    BOOST_REQUIRE(files.events.wait_for_close("error.log.1"));
    Process(files.server.worker("main/0")).send(SIGKILL);
    files.wait_for(files.error_log, {"worker exited", "worker ready"});
    BOOST_TEST(link_of(files.server.worker("main/0"), "fd/2") == files.error_log);
    files.server.stop();
}

BOOST_AUTO_TEST_CASE(logs_that_cannot_be_reopened_stay_in_use) {
    FileServer files;
    const std::string old = files.error_log + ".1";
    std::filesystem::rename(files.error_log, old);
    std::filesystem::create_directory(files.error_log);
    files.server.send(SIGUSR1);
    files.wait_for(old, {"logs not reopened", "is a folder"});
    Client client(files.server.address());
    BOOST_TEST(client.ask("log still here") == "ok");
    files.wait_for(old, {"still here"});
    files.server.stop();
}

BOOST_AUTO_TEST_CASE(new_logs_are_not_readable_by_everyone) {
    FileServer files;
    for (const std::string& log : {files.error_log, files.output_log}) {
        struct stat status {};
        BOOST_REQUIRE(::stat(log.c_str(), &status) == 0);
        BOOST_TEST((status.st_mode & 0007) == 0u);
    }
    files.server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
