#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "client.hpp"
#include "daemon.hpp"
#include "file_events.hpp"
#include "needs_root.hpp"
#include "probe.hpp"
#include "strace.hpp"

// Every system call that a worker makes from its exec until it is ready fails once, each in a
// reload of its own: the worker is ready and confined, or the reload is refused and the old ones go
// on. By default a sample; with PREFORKD_ALL_FAULTS=1 all of them.

using namespace preforkd::testing;
using boost::unit_test::precondition;

namespace {

/// A server whose new workers are executed by strace(1) if it is told so.
struct Subject {
    TempFolder folder;
    std::string wrapper = folder / "wrapper", trace = folder / "trace";
    Daemon server;

    Subject()
        : server({.keys = "workers = 1\nready_timeout = 3s\ndrain_timeout = 1s\n",
                  .sections = listener("echo", "probe") +
                              listener("files", "file-probe", "root = " + folder.path() + "\n"),
                  .environment = {std::string(worker_wrapper) + "=" + wrapper},
                  .probe = true}) {
        BOOST_REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);  // the workers' user traces
        server.start();
    }

    void trace_with(const std::vector<std::string>& options) const {
        std::ofstream file(wrapper);
        file << strace << "\n-D\n-qq\n";
        for (const std::string& option : options) file << option << "\n";
    }
    void trace_no_more() const { std::filesystem::remove(wrapper); }

    /// Its verdict.
    std::string reload() {
        server.send(SIGHUP);
        server.wait_for("a verdict", [&] {
            return server.count_lines({"reload ok"}) + server.count_lines({"reload refused"}) > 0;
        });
        return server.count_lines({"reload ok"}) > 0 ? "ok" : "refused";
    }
    void check_service() {
        BOOST_TEST(Client(server.address()).ask("hello") == "hello");
        BOOST_TEST(Client(server.address("files")).ask("read none") == std::strerror(ENOENT));
    }
    /// Both filters and Landlock's rules, or somebody could think that they were there.
    void check_confined() {
        Client client(server.address("files"));
        auto status = status_of(std::stoi(client.ask("pid")));
        BOOST_TEST(status["Seccomp"] == "2");
        BOOST_TEST(status["Seccomp_filters"] == "2");
        BOOST_TEST(status["NoNewPrivs"] == "1");
        BOOST_TEST(client.ask("attack file_passwd 0") == "EACCES");
    }
};

std::vector<Call> calls_until_ready() {
    Subject subject;
    FileEvents events(subject.folder.path());
    subject.trace_with({"-o", subject.trace});
    BOOST_REQUIRE(subject.reload() == "ok");
    subject.server.stop();
    BOOST_REQUIRE(events.wait_for_close("trace"));
    return calls_in(subject.trace, "", "sendto(3");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(worker_faults, *precondition(needs_strace))

BOOST_AUTO_TEST_CASE(a_worker_that_starts_with_any_fault_is_confined_or_refused,
                     *precondition(needs_root)) {
    const auto calls = calls_until_ready();
    BOOST_REQUIRE(calls.size() > 100u);
    Subject subject;
    for (const Call& call : chosen_from(calls, 20)) {
        BOOST_TEST_CONTEXT(call.name << " number " << call.occurrence) {
            auto options = injection(call);
            options.insert(options.end(), {"-o", "/dev/null"});
            subject.trace_with(options);
            if (subject.reload() == "ok") subject.check_confined();
            subject.check_service();
            subject.trace_no_more();
            BOOST_TEST(subject.reload() == "ok");
        }
    }
    subject.server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
