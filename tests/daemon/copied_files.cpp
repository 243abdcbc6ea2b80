#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>

#include "client.hpp"
#include "daemon.hpp"
#include "gate.hpp"
#include "inbox.hpp"
#include "needs_root.hpp"
#include "site.hpp"
#include "unit/http_text.hpp"
#include "variant.hpp"

// Error pages and types of files: read by the master once for each generation, for all workers.

using namespace preforkd::testing;
using boost::unit_test::precondition;
using preforkd::test::field_of;
using preforkd::test::summary_of;

namespace {

void put(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
}

/// A server with a page and a file of types, beside its configuration.
struct Pages {
    Site site;
    Daemon server;

    explicit Pages(const std::string& keys = "error_page = 404 lost.own\nmime_types = types\n")
        : server({.keys = "workers = 1\n",
                  .sections = listener("web", "http", "root = " + site.root + "\n" + keys)}) {
        put(file("lost.own"), "first");
        put(file("types"), "text/x-first own\n");
    }
    [[nodiscard]] std::string file(const std::string& name) const { return server.folder() / name; }
    /// What it says of a file that isn't there, and as what.
    [[nodiscard]] std::string lost() {
        const std::string answer = fetch(server.address("web"), "/missing");
        return summary_of(answer) + ", " + field_of(answer, "Content-Type");
    }
    void replace_worker() {
        server.mark();
        Process(server.worker("main/0")).send(SIGKILL);
        server.wait_for_line({"worker ready"});
    }
};

struct Spoiling {
    const char* name;
    std::function<void(const std::string& path)> spoil;
};

const std::vector<Spoiling>& spoilings() {
    static const std::vector<Spoiling> all{
        {"removed", [](const auto& path) { std::filesystem::remove(path); }},
        {"edited in place", [](const auto& path) { put(path, "text/x-second own\n"); }},
        {"replaced by another",
         [](const auto& path) {
             put(path + ".new", "text/x-second own\n");
             std::filesystem::rename(path + ".new", path);
         }},
        {"replaced by a folder",
         [](const auto& path) {
             std::filesystem::remove(path);
             std::filesystem::create_directory(path);
         }},
        {"too large", [](const auto& path) { put(path, std::string(5 << 20, 'x')); }},
    };
    return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(copied_files)

// A worker that replaced a crashed one read the files anew: one that had been removed kept the slot
// empty for good, and one that had been edited made two workers say different things.
BOOST_AUTO_TEST_CASE(a_respawned_worker_has_what_its_generation_was_started_with) {
    for (const Spoiling& spoiling : spoilings()) {
        BOOST_TEST_CONTEXT(spoiling.name) {
            Pages pages;
            pages.server.start();
            const std::string before = "404 first, text/x-first; charset=utf-8";
            BOOST_TEST(pages.lost() == before);
            spoiling.spoil(pages.file("lost.own"));
            spoiling.spoil(pages.file("types"));
            pages.replace_worker();
            BOOST_TEST(pages.lost() == before);
            pages.server.stop();
        }
    }
}

BOOST_AUTO_TEST_CASE(a_reload_reads_them_anew) {
    Pages pages;
    pages.server.start();
    put(pages.file("lost.own"), "second");
    put(pages.file("types"), "text/x-second own\n");
    pages.server.send(SIGHUP);
    pages.server.wait_for_line({"worker exited", "exit status 0"});
    BOOST_TEST(pages.lost() == "404 second, text/x-second; charset=utf-8");
    std::filesystem::remove(pages.file("lost.own"));
    pages.server.send(SIGHUP);
    pages.server.wait_for_line(
        {"reload refused", "test.conf:9: listen.web: error_page '", "lost.own': No such file"});
    pages.replace_worker();
    BOOST_TEST(pages.lost() == "404 second, text/x-second; charset=utf-8");
    pages.server.stop();
}

BOOST_AUTO_TEST_CASE(workers_need_no_right_to_read_them, *precondition(needs_root)) {
    Pages pages("error_page = 404 closed/lost.own\nmime_types = closed/types\n");
    const std::string closed = pages.file("closed");
    std::filesystem::create_directory(closed);
    put(closed + "/lost.own", "for root alone");
    put(closed + "/types", "text/x-first own\n");
    for (const char* const name : {"", "/lost.own", "/types"})
        BOOST_REQUIRE(::chmod((closed + name).c_str(), *name == '\0' ? 0700 : 0600) == 0);
    pages.server.launch();
    BOOST_TEST(pages.lost() == "404 for root alone, text/x-first; charset=utf-8");
    pages.server.stop();
}

BOOST_AUTO_TEST_CASE(each_status_has_its_page_and_each_listener_its_own) {
    Site site;
    const std::string root = "root = " + site.root + "\n";
    Daemon server(
        {.sections = listener("one", "http", root + "error_page = 404 a\nerror_page = 400 b\n") +
                     listener("two", "http", root + "error_page = 404 b\n") +
                     listener("none", "http", root)});
    put(server.folder() / "a", "page a");
    put(server.folder() / "b", "page b");
    server.start();
    BOOST_TEST(summary_of(fetch(server.address("one"), "/missing")) == "404 page a");
    BOOST_TEST(summary_of(fetch(server.address("one"), "/../x")) == "400 page b");
    BOOST_TEST(summary_of(fetch(server.address("two"), "/missing")) == "404 page b");
    BOOST_TEST(fetch(server.address("none"), "/missing").find("page") == std::string::npos);
    server.stop();
}

BOOST_AUTO_TEST_CASE(on_the_command_line_they_are_relative_to_the_callers_folder) {
    const Site site;
    site.write("lost.own", "lost");
    site.write("types", "text/x-first own\n");
    const TempFolder folder;
    Inbox inbox(folder / "notify", folder / "log");
    Command command;
    command.arguments = {
        "preforkd",        "http", own_ip() + ":0", "root=.", "error_page=404 lost.own",
        "mime_types=types"};
    command.environment = sanitizer_options();
    command.environment.push_back("NOTIFY_SOCKET=" + (folder / "notify"));
    command.before_exec = [&site] {
        if (::chdir(site.root.c_str()) != 0) ::_exit(95);
    };
    Execution server = execute(command);
    std::string address;
    const std::string label = "X_PREFORKD_LISTEN=http ";
    BOOST_REQUIRE(inbox.wait_until(
        [&] {
            for (const std::string& note : inbox.notes())
                if (const auto at = note.find(label); at != std::string::npos)
                    address =
                        note.substr(at + label.size(), note.find('\n', at) - at - label.size());
            return !address.empty();
        },
        server.process.pidfd()));
    const std::string answer = fetch(address, "/missing");
    BOOST_TEST(summary_of(answer) == "404 lost");
    BOOST_TEST(field_of(answer, "Content-Type") == "text/x-first; charset=utf-8");
    server.process.send(SIGTERM);
    BOOST_TEST(finish(std::move(server)).exit == exited(0));
}

BOOST_AUTO_TEST_CASE(a_file_that_can_not_be_copied_is_told_with_its_line) {
    struct Case {
        const char* what;
        std::function<void(const std::string& path)> make;
        std::vector<std::string> told;
    };
    const std::vector<Case> cases = {
        {"absent",
         [](const auto& path) { std::filesystem::remove(path); },
         {"No such file or directory\n", "    make it, or correct the path\n"}},
        {"a folder",
         [](const auto& path) {
             std::filesystem::remove(path);
             std::filesystem::create_directory(path);
         },
         {"is not a regular file\n", "    name a file\n"}},
        {"a fifo",
         [](const auto& path) {
             std::filesystem::remove(path);
             BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
         },
         {"is not a regular file\n", "    name a file\n"}},
        {"too large",
         [](const auto& path) { put(path, std::string(64 * 1024 + 1, 'x')); },
         {"is larger than 64k\n", "    make it smaller, or name another file\n"}},
    };
    for (const Case& each : cases) {
        for (const bool only_checked : {true, false}) {
            BOOST_TEST_CONTEXT(each.what << (only_checked ? ", -t" : ", start")) {
                Pages pages("error_page = 404 lost.own\n");
                each.make(pages.file("lost.own"));
                Outcome outcome;
                if (only_checked) {
                    outcome = run_preforkd({"-t", "-c", pages.server.config_file()});
                } else {
                    pages.server.begin_launch();
                    outcome = pages.server.outcome();
                }
                BOOST_TEST(outcome.exit == exited(6));
                BOOST_TEST(holds_all(outcome.printed,
                                     {"test.conf:9: listen.web: error_page '", "/lost.own': "}),
                           outcome.printed);
                BOOST_TEST(holds_all(outcome.printed, each.told), outcome.printed);
                pages.server.check_nothing_left();
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_file_of_types_in_another_form_is_told_with_its_own_line) {
    Pages pages("mime_types = types\n");
    put(pages.file("types"), "# nginx\ntext/x-own own foo;\n");
    const Outcome outcome = run_preforkd({"-t", "-c", pages.server.config_file()});
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(holds_all(outcome.printed,
                         {"test.conf:9: listen.web: mime_types '",
                          "/types': line 2: 'foo;' is not an extension; expected: TYPE/SUBTYPE "
                          "EXTENSION...\n    correct the file, or name another\n"}),
               outcome.printed);
}

BOOST_AUTO_TEST_CASE(all_that_can_not_be_copied_is_told_at_once) {
    Pages pages(
        "error_page = 404 a\nerror_page = 400 lost.own\nerror_page = 403 b\n"
        "mime_types = c\n");
    const Outcome outcome = run_preforkd({"-t", "-c", pages.server.config_file()});
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(
        holds_all(outcome.printed, {"test.conf:9: listen.web: error_page '", "/a': No such",
                                    "test.conf:11: listen.web: error_page '", "/b': No such",
                                    "test.conf:12: listen.web: mime_types '", "/c': No such"}),
        outcome.printed);
    BOOST_TEST(outcome.printed.find("lost.own") == std::string::npos, outcome.printed);
}

BOOST_AUTO_TEST_CASE(what_the_caller_may_not_read_is_told, *precondition(needs_root)) {
    Pages pages("error_page = 404 lost.own\n");
    BOOST_REQUIRE(::chmod(pages.file("lost.own").c_str(), 0600) == 0);
    BOOST_REQUIRE(::chmod(pages.server.folder().path().c_str(), 0755) == 0);
    Command command = pages.server.command(false);
    command.arguments.emplace_back("-t");
    command.before_exec = become_nobody;
    const Outcome outcome = finish(execute(command));
    BOOST_TEST(outcome.exit == exited(6));
    BOOST_TEST(holds_all(outcome.printed, {"/lost.own': Permission denied\n",
                                           "    give this user the right to open it\n"}),
               outcome.printed);
}

BOOST_AUTO_TEST_CASE(the_largest_page_is_sent_whole) {
    Pages pages("error_page = 404 lost.own\n");
    const std::string largest(64 * 1024, 'x');
    put(pages.file("lost.own"), largest);
    pages.server.start();
    BOOST_TEST((summary_of(fetch(pages.server.address("web"), "/missing")) == "404 " + largest));
    pages.server.stop();
}

// What was copied goes over with the running configuration, for as long as no reload succeeds.
BOOST_AUTO_TEST_CASE(a_worker_that_is_respawned_after_an_upgrade_has_the_same) {
    Gate gate;
    Setup setup = UpgradableDaemon::with_keys("workers = 1\n");
    setup.sections = listener("echo", "probe", "note = note\n");
    UpgradableDaemon server(setup);
    const std::string note = server.folder() / "note";
    put(note, "first");
    server.start();
    BOOST_TEST(Client(server.address()).ask("note") == "first");
    server.install({.version = "2.0", .when_taking_over = "gate " + gate.name()});
    server.send(SIGUSR2);
    Visitor successor = gate.next();
    std::filesystem::remove(note);  // after the proof
    successor.pass();
    server.wait_for_line({"took over"});
    server.wait_for_line({"upgrade", "note': No such file"});
    server.mark();
    Process(server.worker("main/0")).send(SIGKILL);
    server.wait_for_line({"worker ready", "generation=1"});
    BOOST_TEST(Client(server.address()).ask("note") == "first");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
