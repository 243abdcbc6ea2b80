#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "shared/config_schema.hpp"
#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "tests/unit/config_fixture.hpp"

using namespace config_fixture;

BOOST_AUTO_TEST_SUITE(config_load)

namespace {

using Kind = LogTarget::Kind;

std::vector<std::string> texts_of(const ListenSection& listener) {
    std::vector<std::string> texts;
    for (const Address& address : listener.addresses) texts.push_back(address.text);
    return texts;
}

std::vector<std::string> values_of(const ListenSection& listener, const std::string& key) {
    const Setting* setting = listener.find(key);
    BOOST_TEST_REQUIRE(setting);
    return setting->values;
}

using Texts = std::vector<std::string>;

}  // namespace

// An empty value among others kept its line, and the values after it were told to stand one above.
BOOST_AUTO_TEST_CASE(each_value_of_a_list_knows_its_line) {
    const TemporaryFolder folder;
    const Config config =
        loaded(load_text(folder,
                         "[listen.a]\naddress=:80\nservice=web\nroot=/x\nadd_header =\n"
                         "add_header = A: 1\nadd_header =\nadd_header = B: 2\n"));
    const Setting* const setting = config.listeners.front().find("add_header");
    BOOST_TEST_REQUIRE(setting);
    BOOST_TEST((setting->values == Texts{"A: 1", "B: 2"}));
    BOOST_TEST_REQUIRE(setting->origins.size() == 2u);
    BOOST_TEST(setting->origins[0].line == 6u);
    BOOST_TEST(setting->origins[1].line == 8u);
}

BOOST_AUTO_TEST_CASE(what_a_file_does_not_say_has_its_default) {
    const TemporaryFolder folder;
    const Config config = loaded(load_text(folder, "[listen.e]\naddress = :7\nservice = echo\n"));
    BOOST_TEST(config.program == "served");
    BOOST_TEST(config.source_file == folder.path() / "conf");
    BOOST_TEST(!config.standalone());
    BOOST_TEST(config.user.value == "");
    BOOST_TEST(config.group.value == "");
    BOOST_TEST(config.workers == 0u);
    BOOST_TEST(config.runtime_dir == "/tmp/served-1000");
    BOOST_TEST(config.lock_file == "/tmp/served-1000/served.pid");
    BOOST_TEST(config.umask.bits == 0027u);
    BOOST_TEST((config.error_log == LogTarget{}));
    BOOST_TEST((config.output_log == LogTarget{}));
    BOOST_TEST((config.access_log == LogTarget{Kind::off, {}}));
    BOOST_TEST((config.log_format == LogFormat::combined));
    BOOST_TEST((config.log_level == LogLevel::info));
    BOOST_TEST((config.drain_timeout == 30s));
    BOOST_TEST((config.keepalive_grace == 2s));
    BOOST_TEST((config.ready_timeout == 30s));
    BOOST_TEST_REQUIRE(config.listeners.size() == 1u);
    const ListenSection& listener = config.listeners.front();
    BOOST_TEST(listener.name == "e");
    BOOST_TEST(listener.service == "echo");
    BOOST_TEST(!listener.workers.has_value());
    BOOST_TEST(listener.backlog == 4096u);
    BOOST_TEST(listener.settings.empty());
    BOOST_TEST(summary(config) == "1 listener, 1 address");
}

BOOST_AUTO_TEST_CASE(every_key_reaches_its_field) {
    const TemporaryFolder folder;
    const Config config = loaded(load_text(folder,
                                           "user = preforkd\n"
                                           "group = preforkd\n"
                                           "workers = 3\n"
                                           "lock_file = l\n"
                                           "runtime_dir = /r/\n"
                                           "umask = 077\n"
                                           "error_log = syslog\n"
                                           "output_log = log/out\n"
                                           "access_log = /a.log\n"
                                           "log_format = combined\n"
                                           "log_level = debug\n"
                                           "drain_timeout = 1m\n"
                                           "keepalive_grace = 0s\n"
                                           "ready_timeout = 10m\n"
                                           "[listen.a]\n"
                                           "address = *:80\n"
                                           "address = both.test:81\n"
                                           "address = unix:s\n"
                                           "service = web\n"
                                           "workers = auto\n"
                                           "backlog = 9\n"
                                           "root = www\n"
                                           "add_header = A: 1 = 2\n"
                                           "add_header = B\n"
                                           "[listen.b]\n"
                                           "address = [::]:80\n"
                                           "service = echo\n"
                                           "workers = 2\n"));
    BOOST_TEST(config.user.value == "preforkd");
    BOOST_TEST(config.group.value == "preforkd");
    BOOST_TEST(config.workers == 3u);
    BOOST_TEST(config.lock_file == folder.path() / "l");
    BOOST_TEST(config.runtime_dir == "/r");
    BOOST_TEST(config.umask.bits == 0077u);
    BOOST_TEST((config.error_log == LogTarget{Kind::syslog, {}}));
    BOOST_TEST((config.output_log == LogTarget{Kind::file, folder.path() / "log/out"}));
    BOOST_TEST((config.access_log == LogTarget{Kind::file, "/a.log"}));
    BOOST_TEST((config.log_level == LogLevel::debug));
    BOOST_TEST((config.drain_timeout == 60s));
    BOOST_TEST((config.keepalive_grace == 0s));
    BOOST_TEST((config.ready_timeout == 10min));
    const ListenSection* a = config.find_listener("a");
    BOOST_TEST_REQUIRE(a);
    BOOST_TEST((texts_of(*a) == Texts{"0.0.0.0:80", "192.0.2.1:81", "[2001:db8::1]:81",
                                      "unix:" + (folder.path() / "s").string()}));
    BOOST_TEST((a->workers == 0u));
    BOOST_TEST(a->backlog == 9u);
    BOOST_TEST((values_of(*a, "root") == Texts{folder.path() / "www"}));
    BOOST_TEST((values_of(*a, "add_header") == Texts{"A: 1 = 2", "B"}));
    BOOST_TEST((values_of(*a, "idle_timeout") == Texts{"1m"}));
    BOOST_TEST((config.find_listener("b")->workers == 2u));
    BOOST_TEST(!config.find_listener("c"));
    BOOST_TEST(summary(config) == "2 listeners, 5 addresses");
}

BOOST_AUTO_TEST_CASE(everything_said_remembers_its_line) {
    const TemporaryFolder folder;
    const Config config = loaded(
        load_text(folder,
                  "\n# a comment\nworkers = 2\n[listen.a]\nservice = web\naddress = :80\naddress = "
                  "both.test:81\nroot = /\nadd_header = A\nadd_header = B\n",
                  {"-o", "umask=0", "-o", "listen.a.address=:82", "-o", "listen.a.address=:83"}));
    const std::string file = folder.path() / "conf";
    BOOST_TEST(config.origins.of("workers").file == file);
    BOOST_TEST(config.origins.of("workers").line == 3u);
    BOOST_TEST(config.origins.of("umask").file == "-o umask");
    BOOST_TEST(config.origins.of("umask").line == 0u);
    BOOST_TEST(config.origins.of("log_level").file == "");
    const ListenSection& a = config.listeners.front();
    BOOST_TEST(a.origins.of("service").line == 5u);
    BOOST_TEST_REQUIRE(a.origins.of_address.size() == 2u);
    BOOST_TEST(a.origins.of_address[1].file == "-o listen.a.address");
    BOOST_TEST_REQUIRE(a.find("add_header")->origins.size() == 2u);
    BOOST_TEST(a.find("add_header")->origins[1].line == 10u);
    BOOST_TEST(a.find("idle_timeout")->origins.empty());
}

BOOST_AUTO_TEST_CASE(a_file_may_come_from_any_editor) {
    const TemporaryFolder folder;
    const std::string lines = "workers = 2\n[listen.e]\naddress = :7\nservice = echo";
    const Config plain = loaded(load_text(folder, lines));
    std::string dos = "\xef\xbb\xbf" + lines + "\n";
    for (std::size_t at = 0; (at = dos.find('\n', at)) != std::string::npos; at += 2)
        dos.insert(at, "\r");
    BOOST_TEST((loaded(load_text(folder, dos)) == plain));
    BOOST_TEST((loaded(load_text(folder,
                                 "  workers=2#two\n\n\t# none\n[listen.e]  # here\n"
                                 "\taddress\t=\t:7\nservice=echo\n")) == plain));
}

BOOST_AUTO_TEST_CASE(utf_8_is_welcome_where_text_is) {
    const TemporaryFolder folder;
    const Config config = loaded(load_text(
        folder,
        "# gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x98\x80\n[listen.a]\nservice = web\n"
        "address = :80\nroot = /\ntitle = \xf0\x9f\x98\x80\n"));
    BOOST_TEST((values_of(config.listeners.front(), "title") == Texts{"\xf0\x9f\x98\x80"}));
}

BOOST_AUTO_TEST_CASE(the_command_line_wins_over_the_file) {
    const TemporaryFolder folder;
    const std::string text =
        "workers = 2\n[listen.a]\naddress = :80\naddress = :81\nservice = web\nroot = /a\n"
        "add_header = A\n";
    const Config config = loaded(load_text(
        folder, text,
        {"-o", "workers=3", "-o", "workers=4", "-o", "listen.a.address=:82", "-o",
         "listen.a.root=www", "-o", "listen.a.add_header=B", "-o", "listen.a.add_header=C", "-o",
         "listen.b.service=echo", "-o", "listen.b.address=unix:s"}));
    BOOST_TEST(config.workers == 4u);
    const ListenSection& a = config.listeners.front();
    BOOST_TEST((texts_of(a) == Texts{"0.0.0.0:82"}));
    BOOST_TEST((values_of(a, "root") == Texts{"/home/u/www"}));
    BOOST_TEST((values_of(a, "add_header") == Texts{"B", "C"}));
    BOOST_TEST_REQUIRE(config.listeners.size() == 2u);
    BOOST_TEST((texts_of(config.listeners[1]) == Texts{"unix:/home/u/s"}));
    const Config emptied = loaded(load_text(folder, text, {"-o", "listen.a.add_header="}));
    BOOST_TEST(values_of(emptied.listeners.front(), "add_header").empty());
}

BOOST_AUTO_TEST_CASE(an_empty_list_in_the_file_replaces_the_default) {
    const TemporaryFolder folder;
    const std::string text = "[listen.a]\naddress = :80\nservice = web\nroot = /a\n";
    BOOST_TEST(values_of(loaded(load_text(folder, text)).listeners[0], "add_header").size() == 2u);
    BOOST_TEST(
        values_of(loaded(load_text(folder, text + "add_header =\n")).listeners[0], "add_header")
            .empty());
}

BOOST_AUTO_TEST_CASE(a_service_and_an_address_are_enough) {
    const Config config = loaded(
        load_config(request({"web", ":8080", "root=.", "workers=2", "backlog=7", "add_header=A",
                             "address=[::]:8080", "-o", "umask=0", "-o", "listen.web.title=x"})));
    BOOST_TEST(config.standalone());
    BOOST_TEST(config.source_file.empty());
    BOOST_TEST(config.lock_file.empty());
    BOOST_TEST(config.workers == 2u);
    BOOST_TEST(config.umask.bits == 0u);
    BOOST_TEST_REQUIRE(config.listeners.size() == 1u);
    const ListenSection& web = config.listeners.front();
    BOOST_TEST(web.name == "web");
    BOOST_TEST((texts_of(web) == Texts{"0.0.0.0:8080", "[::]:8080"}));
    BOOST_TEST(!web.workers.has_value());
    BOOST_TEST(web.backlog == 7u);
    BOOST_TEST((values_of(web, "root") == Texts{"/home/u"}));
    BOOST_TEST((values_of(web, "title") == Texts{"x"}));
    BOOST_TEST((error_log_of(config, true, 1000) == LogTarget{Kind::standard_error, {}}));
}

BOOST_AUTO_TEST_CASE(the_default_file_has_the_programs_name) {
    BOOST_TEST(config_file_of(request({})) == "/etc/preforkd/served.conf");
    BOOST_TEST(config_file_of(request({"-c", "x/../y"})) == "/home/u/x/../y");
    BOOST_TEST(config_file_of(request({"-c", "/z"})) == "/z");
    BOOST_TEST(config_file_of(request({"echo", ":7"})) == "");
}

BOOST_AUTO_TEST_CASE(the_runtime_folder_depends_on_who_starts) {
    const auto folder_for = [](uid_t uid, std::map<std::string, std::string> environment) {
        LoadRequest asked = request({"echo", ":7"});
        asked.effective_uid = uid;
        asked.surroundings = surroundings(std::move(environment));
        return loaded(load_config(asked)).runtime_dir;
    };
    BOOST_TEST(folder_for(0, {}) == "/run/served");
    BOOST_TEST(folder_for(0, {{"XDG_RUNTIME_DIR", "/run/user/0"}}) == "/run/served");
    BOOST_TEST(folder_for(5, {{"XDG_RUNTIME_DIR", "/run/user/5/"}}) == "/run/user/5/served");
    BOOST_TEST(folder_for(5, {{"XDG_RUNTIME_DIR", "run"}}) == "/tmp/served-5");
    BOOST_TEST(folder_for(5, {{"XDG_RUNTIME_DIR", ""}}) == "/tmp/served-5");
    BOOST_TEST(folder_for(5, {{"XDG_RUNTIME_DIR", "/a#b"}}) == "/tmp/served-5");
    BOOST_TEST(folder_for(5, {}) == "/tmp/served-5");
}

BOOST_AUTO_TEST_CASE(the_lock_stands_in_the_runtime_folder_unless_told_otherwise) {
    const TemporaryFolder folder;
    const std::string listener = "[listen.e]\naddress = :7\nservice = echo\n";
    BOOST_TEST(loaded(load_text(folder, "runtime_dir = /r\n" + listener)).lock_file ==
               "/r/served.pid");
    BOOST_TEST(loaded(load_text(folder, "lock_file = /l\n" + listener)).lock_file == "/l");
}

BOOST_AUTO_TEST_CASE(logs_left_to_themselves_go_where_they_are_seen) {
    Config config;
    config.program = "served";
    config.runtime_dir = "/r";
    const LogTarget to_stderr{Kind::standard_error, {}};
    const LogTarget to_runtime{Kind::file, "/r/error.log"};
    BOOST_TEST((error_log_of(config, true, 0) == to_stderr));
    BOOST_TEST((error_log_of(config, true, 5) == to_stderr));
    BOOST_TEST((error_log_of(config, false, 5) == to_runtime));
    BOOST_TEST(
        (error_log_of(config, false, 0) == LogTarget{Kind::file, "/var/log/served/error.log"}));
    BOOST_TEST((output_log_of(config, false, 5) == to_runtime));
    config.error_log = {Kind::syslog, {}};
    BOOST_TEST((error_log_of(config, false, 0) == config.error_log));
    BOOST_TEST((output_log_of(config, false, 0) == LogTarget{Kind::off, {}}));
    config.output_log = to_stderr;
    BOOST_TEST((output_log_of(config, false, 0) == to_stderr));
}

BOOST_AUTO_TEST_CASE(the_value_of_a_faulty_result_is_an_exception_that_says_all) {
    const TemporaryFolder folder;
    const LoadResult result =
        load_text(folder, "a = 1\nb = 2\n[listen.e]\naddress=:7\nservice=echo");
    BOOST_CHECK_EXCEPTION((void)result.value(), StartupError, [&folder](const StartupError& error) {
        const std::string file = folder.path() / "conf";
        return error.exit_code() == exit_configuration &&
               error.what() == file + ":1: unknown key 'a'\n" + file + ":2: unknown key 'b'";
    });
}

BOOST_AUTO_TEST_SUITE_END()
