#include "shared/sole_service.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/unit/config_fixture.hpp"

// A program that serves one service alone: bbserve and its like.

using namespace config_fixture;

namespace {

struct BoardOptions {
    std::filesystem::path file;
    ByteCount max_line;
};

std::vector<ServiceSpec> with_board() {
    auto all = services();
    all.push_back({.name = "board",
                   .doc = "A board.",
                   .keys = {Key<std::filesystem::path>{.name = "file",
                                                       .field = &BoardOptions::file,
                                                       .required = true,
                                                       .example = "/srv/bb",
                                                       .doc = "Of the messages."},
                            Key<ByteCount>{.name = "max_line",
                                           .field = &BoardOptions::max_line,
                                           .def = {4096},
                                           .min = {128},
                                           .doc = "The longest."}},
                   .sample_address = "*:9000",
                   .programs = {"bbserve", "bbserv"}});
    return all;
}

LoadRequest sole_request(const std::vector<std::string>& arguments) {
    const auto command_line = parse_command_line(arguments, with_board(), true);
    if (!command_line) throw std::runtime_error(to_string(command_line.error()));
    return {.program = "bbserve",
            .command_line = *command_line,
            .services = with_board(),
            .effective_uid = 1000,
            .working_folder = "/home/u",
            .surroundings = surroundings()};
}

/// `text` as the file bb.conf, with further arguments.
LoadResult load_board(const std::string& text, std::vector<std::string> arguments = {}) {
    const TemporaryFolder folder;
    arguments.insert(arguments.begin(), {"-c", folder.write("bb.conf", text)});
    return load_config(sole_request(arguments));
}

std::string faults_in(const std::string& text, const std::vector<std::string>& arguments = {}) {
    const LoadResult result = load_board(text, arguments);
    return result ? "" : to_string(result.error());
}

std::string value_of(const Config& config, const std::string& key) {
    return config.listeners.at(0).find(key)->values.at(0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sole_service)

BOOST_AUTO_TEST_CASE(an_empty_file_and_a_board_are_enough) {
    const Config config = loaded(load_board("", {"-f", "bbfile"}));
    BOOST_REQUIRE(config.listeners.size() == 1u);
    BOOST_TEST(config.listeners[0].name == "board");
    BOOST_TEST(config.listeners[0].service == "board");
    BOOST_TEST(config.listeners[0].addresses.at(0).text == "0.0.0.0:9000");
    BOOST_TEST(value_of(config, "file") == "/home/u/bbfile");
    BOOST_TEST(config.lock_file == "/tmp/bbserve-1000/bbserve.pid");
    BOOST_TEST((config.daemon == DaemonMode::automatic));
}

BOOST_AUTO_TEST_CASE(keys_of_listener_and_server_stand_side_by_side) {
    const Config config = loaded(load_board(
        "address = 127.0.0.1:7000\nworkers = 3\nmax_line = 8k\nfile = /b\ndaemon=yes\n"));
    BOOST_TEST(config.workers == 3u);
    BOOST_TEST(config.listeners[0].addresses.size() == 1u);
    BOOST_TEST(config.listeners[0].addresses[0].text == "127.0.0.1:7000");
    BOOST_TEST(value_of(config, "max_line") == "8k");
    BOOST_TEST((config.daemon == DaemonMode::yes));
}

BOOST_AUTO_TEST_CASE(a_file_in_the_file_is_relative_to_it_and_one_on_the_command_line_wins) {
    const TemporaryFolder folder;
    const std::string conf = folder.write("bb.conf", "file = bbfile\n");
    BOOST_TEST(value_of(loaded(load_config(sole_request({"-c", conf}))), "file") ==
               (folder.path() / "bbfile").string());
    BOOST_TEST(value_of(loaded(load_config(sole_request({"-c", conf, "-f", "x"}))), "file") ==
               "/home/u/x");
}

BOOST_AUTO_TEST_CASE(the_words_of_the_course_are_understood) {
    const Config config = loaded(load_board("BBPORT = 9001\nBBFILE = /b\nDAEMON = true\n"));
    BOOST_TEST(config.listeners[0].addresses[0].text == "0.0.0.0:9001");
    BOOST_TEST(value_of(config, "file") == "/b");
    BOOST_TEST((config.daemon == DaemonMode::yes));
    BOOST_TEST((loaded(load_board("port=1234\nDAEMON=0\nfile=/b\n")).daemon == DaemonMode::no));
}

BOOST_AUTO_TEST_CASE(no_file_at_all_will_do_and_still_takes_a_lock) {
    const Config config = loaded(load_config(sole_request({"-f", "bbfile", "-d"})));
    BOOST_TEST(config.standalone());
    BOOST_TEST(config.lock_file == "/tmp/bbserve-1000/bbserve.pid");
    BOOST_TEST((config.daemon == DaemonMode::yes));
    BOOST_TEST(value_of(config, "file") == "/home/u/bbfile");
}

BOOST_AUTO_TEST_CASE(a_file_with_sections_is_taken_as_it_is) {
    const Config config = loaded(
        load_board("[listen.mine]\nservice = board\naddress = [::1]:1\nfile = /b\n", {"-f", "/c"}));
    BOOST_REQUIRE(config.listeners.size() == 1u);
    BOOST_TEST(config.listeners[0].name == "mine");
    BOOST_TEST(value_of(config, "file") == "/c");
    BOOST_TEST(faults_in("file = /b\n[listen.mine]\nservice = board\naddress = [::1]:1\nfile=/b\n")
                   .find("move it below a [listen.NAME]") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_empty_name_of_a_file_is_a_fault_and_help_shows_keys_that_it_has) {
    const std::vector<std::string> arguments{"-f", ""};
    const auto parsed = parse_command_line(arguments, {}, true);
    BOOST_REQUIRE(!parsed);
    BOOST_TEST(to_string(parsed.error()).find("-f wants the name of a file") != std::string::npos);
    BOOST_TEST(options_text(true).find("listen.web") == std::string::npos);
    BOOST_TEST(options_text(false).find("listen.web.root=.") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(faults_name_the_line_and_what_to_do) {
    BOOST_TEST(faults_in("address = *:1\n")
                   .find("bb.conf: the key 'file' is missing\n"
                         "    add to the command: -f /srv/bb; or to the file: file = /srv/bb\n") !=
               std::string::npos);
    const LoadResult without = load_config(sole_request({}));
    BOOST_REQUIRE(!without);
    BOOST_TEST(
        to_string(without.error()).find("add to the command: -f /srv/bb; or to the file: ") !=
        std::string::npos);
    const std::string faults = faults_in("file = /b\nmax_lime = 1\nworker = 2\nport = x\n");
    BOOST_TEST(faults.find("bb.conf:2: listen.board: unknown key 'max_lime'; did you mean "
                           "'max_line'?") != std::string::npos,
               faults);
    BOOST_TEST(faults.find("bb.conf:3: unknown key 'worker'; did you mean 'workers'?") !=
                   std::string::npos,
               faults);
    BOOST_TEST(faults.find("bb.conf:4: listen.board: address") != std::string::npos, faults);
}

BOOST_AUTO_TEST_CASE(the_effective_configuration_is_read_back_by_a_worker) {
    const Config config = loaded(load_board("max_line = 8k\n", {"-f", "bbfile"}));
    const auto again = parse_effective(render_effective(config, with_board()), with_board());
    BOOST_REQUIRE(again);
    BOOST_TEST((*again == config));
}

BOOST_AUTO_TEST_CASE(the_command_line_has_two_more_options_and_no_operands) {
    const auto fault_of = [](const std::vector<std::string>& words) {
        const auto result = parse_command_line(words, with_board(), true);
        return result ? "" : to_string(result.error());
    };
    BOOST_TEST(fault_of({"-d", "-F"}).find("exclude each other") != std::string::npos);
    BOOST_TEST(fault_of({"board", ":9000"}).find("unexpected 'board'") != std::string::npos);
    BOOST_TEST(fault_of({"-f"}) != "");
    BOOST_TEST(to_string(parse_command_line(std::vector<std::string>{"-d"}, with_board()).error())
                   .find("-d") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(other_names_are_not_alone) {
    BOOST_TEST(preforkd::sole_service("preforkd", with_board()) == nullptr);
    BOOST_TEST(preforkd::sole_service("bbserv", with_board()) != nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
