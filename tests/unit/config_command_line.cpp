#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "shared/command_line.hpp"
#include "shared/did_you_mean.hpp"
#include "tests/unit/config_fixture.hpp"

using namespace config_fixture;
using Action = CommandLine::Action;

namespace preforkd {
static std::ostream& operator<<(std::ostream& stream, const Assignment& assignment) {
    return stream << assignment.key << "=" << assignment.value;
}
}  // namespace preforkd

BOOST_AUTO_TEST_SUITE(config_command_line)

namespace {

using Words = std::vector<std::string>;

CommandLine parsed(const Words& words) {
    const auto result = parse_command_line(words, services());
    if (!result) throw std::runtime_error(to_string(result.error()));
    return *result;
}

std::string fault_of(const Words& words) {
    const auto result = parse_command_line(words, services());
    return result ? "" : to_string(result.error());
}

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_typed_means_serve_the_default_file) {
    BOOST_TEST((parsed({}) == CommandLine{}));
    BOOST_TEST((parsed({}).action == Action::serve));
}

BOOST_AUTO_TEST_CASE(every_option_is_understood_short_and_long) {
    for (const Words& words :
         {Words{"-c", "f"}, Words{"-cf"}, Words{"--config", "f"}, Words{"--config=f"}})
        BOOST_TEST(parsed(words).file == "f");
    for (const std::string word : {"-F", "--foreground"}) BOOST_TEST(parsed({word}).foreground);
    for (const std::string word : {"-q", "--quiet"}) BOOST_TEST(parsed({word}).quiet);
    const std::vector<std::pair<std::string, Action>> actions = {
        {"-t", Action::check},
        {"--test", Action::check},
        {"-T", Action::check_and_render},
        {"--print", Action::check_and_render},
        {"-V", Action::show_version},
        {"--version", Action::show_version},
        {"-h", Action::show_help},
        {"--help", Action::show_help}};
    for (const auto& [word, action] : actions) BOOST_TEST((parsed({word}).action == action), word);
    const CommandLine all =
        parsed({"-tqF", "-o", "workers=2", "--option", "listen.a.root=a=b", "-oumask=", "-c", "f"});
    BOOST_TEST((all.action == Action::check));
    BOOST_TEST(all.quiet);
    BOOST_TEST(all.foreground);
    const std::vector<Assignment> overrides = {
        {"workers", "2"}, {"listen.a.root", "a=b"}, {"umask", ""}};
    BOOST_TEST(all.overrides == overrides, boost::test_tools::per_element());
    BOOST_TEST((parsed({"-t", "-T"}).action == Action::check_and_render));
    BOOST_TEST((parsed({"-t", "-h"}).action == Action::show_help));
}

BOOST_AUTO_TEST_CASE(a_service_and_an_address_run_in_the_foreground) {
    const CommandLine line =
        parsed({"web", ":8080", "root=.", "title=a=b", "-q", "-o", "workers=2"});
    BOOST_TEST(line.service == "web");
    BOOST_TEST(line.address == ":8080");
    BOOST_TEST(line.foreground);
    BOOST_TEST(line.quiet);
    const std::vector<Assignment> settings = {{"root", "."}, {"title", "a=b"}};
    BOOST_TEST(line.settings == settings, boost::test_tools::per_element());
    BOOST_TEST(line.overrides.size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_makes_no_sense_is_told_with_what_would) {
    const std::string options = "\n    -h lists the options";
    struct Row {
        Words words;
        std::string fault;
    };
    const std::vector<Row> rows = {
        {{"-x"}, "unknown option '-x'" + options},
        {{"--confg", "x"}, "unknown option '--confg'; did you mean '--config'?" + options},
        {{"--conf", "x"}, "unknown option '--conf'; did you mean '--config'?" + options},
        {{"-c"}, "the required argument for option '--config' is missing" + options},
        {{"-c", "a", "-c", "b"}, "option '--config' cannot be specified more than once" + options},
        {{"-c", ""}, "-c wants the name of a file" + options},
        {{"--test=5"}, "option '--test' does not take any arguments" + options},
        {{"-o", "workers"}, "-o: 'workers' is not KEY=VALUE" + options},
        {{"-o", "=2"}, "-o: '=2' is not KEY=VALUE" + options},
        {{"wbe", ":80"},
         "unknown service 'wbe'; did you mean 'web'?\n    this program has web, echo"},
        {{"start"}, "unknown service 'start'\n    this program has web, echo"},
        {{"a.conf"}, "'a.conf' is not a service\n    for a configuration file write: -c a.conf"},
        {{"/etc/a"}, "'/etc/a' is not a service\n    for a configuration file write: -c /etc/a"},
        {{"web"}, "there is no address for 'web' to listen on\n    write it as in: web :8080"},
        {{"web", "root=."}, "'root=.' is not an address\n    write it as in: web :8080"},
        {{"web", ":80", "root"}, "'root' is not KEY=VALUE" + options},
        {{"-c", "f", "web", ":80"},
         "-c FILE and SERVICE ADDRESS exclude each other\n    leave out one of them"},
    };
    for (const Row& row : rows) BOOST_TEST(fault_of(row.words) == row.fault);
}

BOOST_AUTO_TEST_CASE(a_slip_is_recognised_and_a_stranger_is_not) {
    const Words known = {"address", "root", "user", "umask", "workers"};
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"adress", "address"},   {"addres", "address"}, {"adderss", "address"},
        {"addressx", "address"}, {"rot", "root"},       {"usre", "user"},
        {"userr", "user"},       {"worker", "workers"}, {"wrokres", "workers"},
        {"umaks", "umask"}};
    for (const auto& [word, meant] : rows)
        BOOST_TEST(did_you_mean(word, known) == "; did you mean '" + meant + "'?");
    for (const std::string word : {"", "x", "zzz", "listen", "toor", "ress"})
        BOOST_TEST(did_you_mean(word, known) == "");
    BOOST_TEST(did_you_mean("x", {}) == "");
}

BOOST_AUTO_TEST_SUITE_END()
