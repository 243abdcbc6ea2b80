#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "tests/unit/config_fixture.hpp"

using namespace config_fixture;

// Every fault that a file or the command line can have, with its whole message.
BOOST_AUTO_TEST_SUITE(config_faults)

namespace {

const std::string web = "[listen.a]\naddress=:80\nservice=web\nroot=/x\n";

struct Row {
    std::string text;
    std::string faults;
    std::vector<std::string> arguments{};
};

void check_rows(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
        BOOST_TEST_CONTEXT(row.text) {
            BOOST_TEST(faults_of(row.text, row.arguments) == row.faults);
        }
    }
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_line_that_is_no_line_is_named) {
    check_rows({
        {web + "nonsense\n",
         "conf:5: listen.a: 'nonsense' is neither KEY = VALUE nor [listen.NAME]\n"},
        {"; note\n" + web,
         "conf:1: '; note' is neither KEY = VALUE nor [listen.NAME]\n"
         "    a comment starts with '#'\n"},
        {"// note\n" + web,
         "conf:1: '// note' is neither KEY = VALUE nor [listen.NAME]\n"
         "    a comment starts with '#'\n"},
        {"= 5\n" + web, "conf:1: there is no key before the '='\n"},
        {web + "\t=\n", "conf:5: listen.a: there is no key before the '='\n"},
        {web + "\xff\n", "conf:5: listen.a: the line is not UTF-8\n"},
        {web + "title = \xc0\xaf\n", "conf:5: listen.a: the line is not UTF-8\n"},
        {web + "title = \xed\xa0\x80\n", "conf:5: listen.a: the line is not UTF-8\n"},
        {web + "title = \xf4\x90\x80\x80\n", "conf:5: listen.a: the line is not UTF-8\n"},
        {web + "title = \xe2\x82\n", "conf:5: listen.a: the line is not UTF-8\n"},
        {web + "title = \x1b[1m\n",
         "conf:5: listen.a: the line holds the control character 0x1b\n"},
        {web + std::string("title = \0x\n", 11),
         "conf:5: listen.a: the line holds the control character 0x00\n"},
        {web + "title = a\rb\n", "conf:5: listen.a: the line holds the control character 0x0d\n"},
        {web + "#" + std::string(4096, 'x') + "\n",
         "conf:5: listen.a: the line is longer than 4096 bytes\n"},
    });
}

BOOST_AUTO_TEST_CASE(a_section_that_is_no_listener_is_named_and_its_keys_are_not) {
    const std::string hint = "    a section is a listener and is called [listen.NAME]\n";
    const std::string name_hint = "    it has 1 to 32 of the characters a-z, 0-9, _ and -\n";
    check_rows({
        {web + "[b]\nx = 1\n",
         "conf:5: unknown section '[b]'; did you mean '[listen.b]'?\n" + hint},
        {web + "[lisen.b]\nx = 1\n",
         "conf:5: unknown section '[lisen.b]'; did you mean '[listen.b]'?\n" + hint},
        {web + "[]\nx = 1\n", "conf:5: unknown section '[]'\n" + hint},
        {web + "[a b]\n", "conf:5: unknown section '[a b]'\n" + hint},
        {web + "[listen]\n",
         "conf:5: unknown section '[listen]'; did you mean '[listen.listen]'?\n" + hint},
        {web + "[listen.]\n", "conf:5: '' is not a listener's name\n" + name_hint},
        {web + "[listen.Web]\n", "conf:5: 'Web' is not a listener's name\n" + name_hint},
        {web + "[listen.a.b]\n", "conf:5: 'a.b' is not a listener's name\n" + name_hint},
        {web + "[listen." + std::string(33, 'a') + "]\n",
         "conf:5: '" + std::string(33, 'a') + "' is not a listener's name\n" + name_hint},
        {web + "[listen.b\n", "conf:5: '[listen.b' lacks its ']'\n"},
        {web + "[listen.b] x = 1\n", "conf:5: '[listen.b] x = 1' lacks its ']'\n"},
        {web + "[listen.a]\nservice = echo\nroot = /y\ntitel = 1\nworkers = 0\n",
         "conf:5: section [listen.a] was already opened on line 1\n"
         "    join the two, or give one of them another name\n"
         "conf:7: listen.a: unknown key 'root'\n"
         "    it is a key of the service 'web', and this is 'echo'\n"
         "conf:8: listen.a: unknown key 'titel'\n"
         "conf:9: listen.a: workers: '0' is out of range; expected 'auto' or 1 to 1024\n"},
    });
}

BOOST_AUTO_TEST_CASE(an_unknown_key_is_told_where_it_belongs_or_what_it_resembles) {
    check_rows({
        {"drain_timout = 3s\n" + web,
         "conf:1: unknown key 'drain_timout'; did you mean 'drain_timeout'?\n"},
        {"drain timeout = 3s\n" + web,
         "conf:1: unknown key 'drain timeout'; did you mean 'drain_timeout'?\n"},
        {"usre = x\n" + web, "conf:1: unknown key 'usre'; did you mean 'user'?\n"},
        {"DRAIN_TIMEOUT = 3s\n" + web, "conf:1: unknown key 'DRAIN_TIMEOUT'\n"},
        {"zzz = 1\n" + web, "conf:1: unknown key 'zzz'\n"},
        {std::string(70, 'z') + " = 1\n" + web,
         "conf:1: unknown key '" + std::string(60, 'z') + "...'\n"},
        {"root = /x\n" + web,
         "conf:1: unknown key 'root'\n    it is a listener's: move it below a [listen.NAME]\n"},
        {"backlog = 5\n" + web,
         "conf:1: unknown key 'backlog'\n    it is a listener's: move it below a [listen.NAME]\n"},
        {web + "idle_timeot = 3s\n",
         "conf:5: listen.a: unknown key 'idle_timeot'; did you mean 'idle_timeout'?\n"},
        {web + "adress = :81\n",
         "conf:5: listen.a: unknown key 'adress'; did you mean 'address'?\n"},
        {web + "umask = 0\n",
         "conf:5: listen.a: unknown key 'umask'\n"
         "    it is for the whole server: move it above the first [listen.NAME]\n"},
        {web + "[listen.b]\naddress=:81\nservice=echo\nroot=/x\n",
         "conf:8: listen.b: unknown key 'root'\n"
         "    it is a key of the service 'web', and this is 'echo'\n"},
    });
}

BOOST_AUTO_TEST_CASE(a_key_that_stands_twice_names_its_first_line) {
    check_rows({
        {"workers = 1\n\nworkers = 1\n" + web,
         "conf:3: workers: already set on line 1\n    keep one of the two lines\n"},
        {web + "root = /y\nroot = /z\n",
         "conf:5: listen.a: root: already set on line 4\n    keep one of the two lines\n"
         "conf:6: listen.a: root: already set on line 4\n    keep one of the two lines\n"},
        {web + "add_header = a\nadd_header = b\naddress = :81\n", ""},
    });
}

BOOST_AUTO_TEST_CASE(what_is_missing_is_named_with_a_line_to_add) {
    check_rows({
        {"",
         "conf: there is nothing to listen on\n"
         "    add a section: [listen.NAME] with the keys address and service\n"},
        {"[listen.a]\n",
         "conf:1: listen.a: the key 'address' is missing\n"
         "    add a line such as: address = *:80\n"
         "conf:1: listen.a: the key 'service' is missing\n"
         "    add a line such as: service = web\n"},
        {"[listen.a]\nservice = web\naddress = :80\n",
         "conf:1: listen.a: the key 'root' is missing\n"
         "    add a line such as: root = /srv/www\n"},
        {"[listen.a]\nservice = web\naddress = :80\nroot =\n",
         "conf:4: listen.a: root: no value; expected a path\n"},
        {"[listen.a]\nservice =\naddress =\n",
         "conf:2: listen.a: service: no value; expected web or echo\n"
         "conf:3: listen.a: address: no value; expected text\n"},
    });
}

BOOST_AUTO_TEST_CASE(an_unknown_service_lists_those_there_are) {
    check_rows({
        {"[listen.a]\naddress=:80\nservice = wbe\nroot = /x\nzzz = 1\n",
         "conf:3: listen.a: unknown service 'wbe'; did you mean 'web'?\n"
         "    this program has web, echo\n"},
    });
}

BOOST_AUTO_TEST_CASE(a_wrong_value_names_section_and_key) {
    check_rows({
        {"workers = 1025\n" + web,
         "conf:1: workers: '1025' is out of range; expected 'auto' or 1 to 1024\n"},
        {"workers = -1\n" + web,
         "conf:1: workers: '-1' is not a number; expected 'auto' or 1 to 1024\n"},
        {"umask = 0999\n" + web,
         "conf:1: umask: '0999' is not an octal number; expected 0000 to 0777\n"},
        {"ready_timeout = 11m\n" + web,
         "conf:1: ready_timeout: '11m' is out of range; expected 1s to 10m (units: ms, s, m, h)\n"},
        {"log_level = warn\n" + web,
         "conf:1: log_level: 'warn' is not a choice; "
         "expected debug, info, notice, warning or error\n"},
        {web + "idle_timeout = 5\n",
         "conf:5: listen.a: idle_timeout: '5' has no unit; "
         "expected 1s to 1h (units: ms, s, m, h)\n"},
        {web + "backlog = 0\n",
         "conf:5: listen.a: backlog: '0' is out of range; expected 1 to 65535\n"},
        {web + "address = 80\n",
         "conf:5: listen.a: address: '80' has no port\n"
         "    write it as in *:80, 127.0.0.1:80, [::]:80, localhost:80 or unix:/run/web.sock\n"},
        {web + "address = nowhere.test:80\n",
         "conf:5: listen.a: address: cannot find host 'nowhere.test': Name or service not known\n"
         "    try another\n"},
        {web + "title = " + std::string(4001, 'x') + "\n",
         "conf:5: listen.a: title: '" + std::string(60, 'x') +
             "...' is longer than 4000 bytes\n"
             "    a configuration file could not hold it\n"},
    });
}

BOOST_AUTO_TEST_CASE(users_and_groups_must_exist_and_not_be_root) {
    check_rows({
        {"user = nobodyy\n" + web,
         "conf:1: user: there is no user 'nobodyy'\n"
         "    create it (adduser --system), or name another\n"},
        {"user = root\n" + web,
         "conf:1: user: 'root' is root, and no worker may be\n"
         "    name a user of its own, such as preforkd\n"},
        {"user = toor\n" + web,
         "conf:1: user: 'toor' is root, and no worker may be\n"
         "    name a user of its own, such as preforkd\n"},
        {"group = nogroupp\n" + web,
         "conf:1: group: there is no group 'nogroupp'\n"
         "    create it (addgroup --system), or name another\n"},
        {"group = root\n" + web,
         "conf:1: group: 'root' is root's, and no worker may be in it\n"
         "    name a group of its own, such as preforkd\n"},
        {web,
         "-o user: 'root' is root, and no worker may be\n"
         "    name a user of its own, such as preforkd\n",
         {"-o", "user=root"}},
        {"user = preforkd\ngroup = preforkd\n" + web, ""},
    });
}

BOOST_AUTO_TEST_CASE(an_address_belongs_to_one_listener_only) {
    const auto two = [](const std::string& first, const std::string& second) {
        return "[listen.a]\nservice = echo\naddress = " + first +
               "\n[listen.b]\nservice = echo\naddress = " + second + "\n";
    };
    const std::string hint = "    give each listener a port or an address of its own\n";
    check_rows({
        {two("*:80", "0.0.0.0:80"),
         "conf:6: listen.b: address 0.0.0.0:80 is taken by [listen.a], line 3\n" + hint},
        {two("*:80", "127.0.0.1:80"),
         "conf:6: listen.b: address 127.0.0.1:80 overlaps 0.0.0.0:80 of [listen.a], line 3\n" +
             hint},
        {two("[::1]:80", "[::]:80"),
         "conf:6: listen.b: address [::]:80 overlaps [::1]:80 of [listen.a], line 3\n" + hint},
        {two("unix:/a", "unix:/./a"),
         "conf:6: listen.b: address unix:/a is taken by [listen.a], line 3\n" + hint},
        {two("localhost:80", "127.0.0.1:80"),
         "conf:6: listen.b: address 127.0.0.1:80 is taken by [listen.a], line 3\n" + hint},
        {two("*:80\naddress = 127.0.0.1:80", ":81"),
         "conf:4: listen.a: address 127.0.0.1:80 overlaps 0.0.0.0:80 of [listen.a], line 3\n"
         "    one of the two is enough: take the other out\n"},
        {two("*:80", "[::]:80"), ""},
        {two("*:80", "*:81"), ""},
        {two("*:0", "*:0"), ""},
        {two("127.0.0.1:80", "127.0.0.2:80"), ""},
        {two("*:80", "*:81"),
         "-o listen.b.address: address 0.0.0.0:80 is taken by [listen.a], line 3\n" + hint,
         {"-o", "listen.b.address=:80"}},
    });
}

BOOST_AUTO_TEST_CASE(the_shared_pools_name_is_reserved) {
    const std::string text = "[listen.main]\nservice = echo\naddress = :80\n";
    check_rows({
        {text, ""},
        {text + "workers = 2\n",
         "conf:4: listen.main: workers: 'main' is the name of the shared workers' pool\n"
         "    name the listener otherwise, or let the shared workers serve it\n"},
    });
}

BOOST_AUTO_TEST_CASE(the_command_lines_faults_name_the_option) {
    check_rows({
        {web, "-o wrkers: unknown key 'wrkers'; did you mean 'workers'?\n", {"-o", "wrkers=2"}},
        {web,
         "-o workers: 'x' is not a number; expected 'auto' or 1 to 1024\n",
         {"-o", "workers=x"}},
        {web,
         "-o listen.a.rot: unknown key 'rot'; did you mean 'root'?\n",
         {"-o", "listen.a.rot=/"}},
        {web,
         "-o listen.b.root: there is no listener 'b'\n"
         "    to add one, give its service too: -o listen.b.service=NAME\n",
         {"-o", "listen.b.root=/"}},
        {web,
         "-o listen.a: 'listen' is not a listener\n"
         "    write -o KEY=VALUE or -o listen.NAME.KEY=VALUE\n",
         {"-o", "listen.a=/"}},
        {web,
         "-o a.root: 'a' is not a listener\n"
         "    write -o KEY=VALUE or -o listen.NAME.KEY=VALUE\n",
         {"-o", "a.root=/"}},
        {web,
         "-o listen.b.service: the key 'address' is missing\n"
         "    add: -o listen.b.address=*:80\n",
         {"-o", "listen.b.service=echo"}},
        {web,
         "-o listen.a.title: 'a#b' holds a '#', which begins a comment\n"
         "    a configuration file could not hold it\n",
         {"-o", "listen.a.title=a#b"}},
        {web,
         "-o listen.a.title: 'a\\x0ab' holds a control character\n"
         "    a configuration file could not hold it\n",
         {"-o", "listen.a.title=a\nb"}},
        {web,
         "-o listen.a.title: ' a' begins or ends with a blank\n"
         "    a configuration file could not hold it\n",
         {"-o", "listen.a.title= a"}},
        {web,
         "-o listen.a.title: '\xff' is not UTF-8\n"
         "    a configuration file could not hold it\n",
         {"-o", "listen.a.title=\xff"}},
        {web,
         "-o listen.a.address: '80' has no port\n"
         "    write it as in *:80, 127.0.0.1:80, [::]:80, localhost:80 or unix:/run/web.sock\n",
         {"-o", "listen.a.address=80"}},
    });
}

BOOST_AUTO_TEST_CASE(a_fault_of_the_file_is_told_even_where_the_command_line_wins) {
    BOOST_TEST(faults_of("workers = 0\n" + web, {"-o", "workers=2"}) ==
               "conf:1: workers: '0' is out of range; expected 'auto' or 1 to 1024\n");
}

BOOST_AUTO_TEST_CASE(all_faults_come_in_one_run_in_the_order_of_their_lines) {
    BOOST_TEST(faults_of("workers = 0\nuser = root\nwrkers = 1\n" + web +
                             "titel = x\n[b]\nmode = 9\n"
                             "[listen.c]\nservice = echo\naddress = *:80\n",
                         {"-o", "umask=9"}) ==
               "conf:1: workers: '0' is out of range; expected 'auto' or 1 to 1024\n"
               "conf:2: user: 'root' is root, and no worker may be\n"
               "    name a user of its own, such as preforkd\n"
               "conf:3: unknown key 'wrkers'; did you mean 'workers'?\n"
               "conf:8: listen.a: unknown key 'titel'; did you mean 'title'?\n"
               "conf:9: unknown section '[b]'; did you mean '[listen.b]'?\n"
               "    a section is a listener and is called [listen.NAME]\n"
               "conf:13: listen.c: address 0.0.0.0:80 is taken by [listen.a], line 5\n"
               "    give each listener a port or an address of its own\n"
               "-o umask: '9' is not an octal number; expected 0000 to 0777\n");
}

BOOST_AUTO_TEST_CASE(faults_of_service_and_address_name_the_command_line) {
    const auto faults = [](const std::vector<std::string>& arguments) {
        const LoadResult result = load_config(request(arguments));
        return result ? "" : to_string(result.error());
    };
    BOOST_TEST(
        faults({"web", "80", "rot=.", "idle_timeout=5", "workers=0"}) ==
        "command line: workers: '0' is out of range; expected 'auto' or 1 to 1024\n"
        "command line: address: '80' has no port\n"
        "    write it as in *:80, 127.0.0.1:80, [::]:80, localhost:80 or unix:/run/web.sock\n"
        "command line: the key 'root' is missing\n"
        "    add to the command: root=/srv/www\n"
        "command line: idle_timeout: '5' has no unit; "
        "expected 1s to 1h (units: ms, s, m, h)\n"
        "command line: unknown key 'rot'; did you mean 'root'?\n");
    BOOST_TEST(faults({"web", ":80"}) ==
               "command line: the key 'root' is missing\n"
               "    add to the command: root=/srv/www\n");
}

BOOST_AUTO_TEST_CASE(a_program_must_have_a_name_that_can_name_folders) {
    for (const std::string name : {"", ".x", "a b", "a/b", "a#b"}) {
        LoadRequest asked = request({"echo", ":80"});
        asked.program = name;
        const LoadResult result = load_config(asked);
        BOOST_TEST_REQUIRE(!result);
        BOOST_TEST(to_string(result.error()) ==
                   "'" + name +
                       "' can't be this program's name: it would have to name folders too\n"
                       "    start it by a name of letters, digits, '.', '_' and '-'\n");
    }
}

BOOST_AUTO_TEST_CASE(a_folder_that_no_line_could_hold_is_refused) {
    LoadRequest asked = request({"web", ":80", "root=."});
    asked.working_folder = "/home/a#b";
    const LoadResult result = load_config(asked);
    BOOST_TEST_REQUIRE(!result);
    BOOST_TEST(to_string(result.error()) ==
               "command line: root: '/home/a#b' holds a '#', which begins a comment\n"
               "    a configuration file could not hold it\n");
    asked = request({"-c", "conf"});
    asked.working_folder = "/home/a\nb";
    const LoadResult unnamed = load_config(asked);
    BOOST_TEST_REQUIRE(!unnamed);
    BOOST_TEST(to_string(unnamed.error()) ==
               "-c: '/home/a\\x0ab/conf' holds a control character\n    use another name\n");
}

BOOST_AUTO_TEST_SUITE_END()
