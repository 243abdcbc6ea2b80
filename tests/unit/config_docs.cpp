#include "shared/config_docs.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "shared/config_schema.hpp"
#include "tests/unit/config_fixture.hpp"

using namespace config_fixture;
namespace unit_test = boost::unit_test;

BOOST_AUTO_TEST_SUITE(config_docs)

namespace {

/// Every key of the program, each service's too.
std::vector<KeySpec> every_key() {
    std::vector<KeySpec> keys = global_keys();
    for (const KeySpec& key : listener_keys_for(services())) keys.push_back(key);
    for (const ServiceSpec& service : services())
        keys.insert(keys.end(), service.keys.begin(), service.keys.end());
    return keys;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// The text on one line with single blanks, so that line ends don't matter.
std::string flat(const std::string& text) {
    return std::regex_replace(text, std::regex("[ \n#]+"), " ");
}

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

boost::test_tools::assertion_result with_mandoc(unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(
        std::system("mandoc -T lint /dev/null >/dev/null 2>&1; "
                    "test $? -ne 127") == 0);
    result.message() << "mandoc is not installed";
    return result;
}

std::string output_of(const std::string& command) {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    std::string output;
    for (int byte; (byte = std::fgetc(pipe.get())) != EOF;) output += static_cast<char>(byte);
    return output;
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_document_tells_every_key_with_its_document_and_default) {
    const std::string help = flat(help_text("served", services()));
    const std::string sample = flat(sample_file("served", services()));
    const std::string markdown = flat(reference_markdown(services()));
    for (const KeySpec& key : every_key()) {
        BOOST_TEST_CONTEXT(key.name) {
            BOOST_TEST(has(help, " " + key.name + " " + key.doc + " "));
            BOOST_TEST(has(markdown, "| `" + key.name + "` |"));
            BOOST_TEST((has(sample, " " + key.name + " =") || has(sample, " " + key.name + ": ")));
            if (!key.required) BOOST_TEST(has(help, "Default: " + default_in_words(key) + "."));
        }
    }
    for (const ServiceSpec& service : services()) {
        BOOST_TEST(has(help, " " + service.name + " " + service.doc));
        BOOST_TEST(has(markdown, "`service = " + service.name + "` " + service.doc));
    }
}

BOOST_AUTO_TEST_CASE(help_fits_a_terminal) {
    const std::string help = help_text("served", services());
    BOOST_TEST(help.starts_with("Usage:\n  served [-c FILE] "));
    BOOST_TEST(has(help, "\n  served SERVICE ADDRESS [KEY=VALUE]..."));
    BOOST_TEST(has(help, "  -o, --option KEY=VALUE "));
    for (const std::string& line : lines_of(help)) {
        BOOST_TEST(line.size() <= 100u, line);
        BOOST_TEST(!line.ends_with(' '), line);
    }
}

BOOST_AUTO_TEST_CASE(a_service_without_a_sentence_has_a_line_of_its_own) {
    // The next service stood in the same line, where bash's completion didn't find it.
    const std::string help =
        help_text("served", {{.name = "mute"}, {.name = "loud", .doc = "Hi."}});
    BOOST_TEST(has(help, "\n  mute              ...\n  loud              Hi.\n"));
}

BOOST_AUTO_TEST_CASE(the_sample_file_is_valid_as_it_stands) {
    const TemporaryFolder folder;
    const std::string sample = sample_file("served", services());
    const Config config = loaded(load_text(folder, sample));
    BOOST_TEST_REQUIRE(config.listeners.size() == 1u);
    BOOST_TEST(config.listeners.front().addresses.front().text == "0.0.0.0:8080");
    BOOST_TEST(config.listeners.front().find("root")->values.front() == "/srv/www");
    // It says only defaults but for what must be said.
    const Config bare = loaded(
        load_text(folder, "[listen.web]\naddress = *:8080\nservice = web\nroot = /srv/www\n"));
    BOOST_TEST((config == bare));
}

BOOST_AUTO_TEST_CASE(every_line_of_the_sample_file_is_valid_without_its_mark) {
    const TemporaryFolder folder;
    const std::string sample = sample_file("served", services());
    std::string uncommented =
        std::regex_replace(sample, std::regex("(^|\n)#(?=\\[|[a-z_]+ *=)"), "$1");
    // Two listeners with the same address would be a fault, and rightly so.
    const std::size_t second = uncommented.find("*:80\n");
    BOOST_TEST_REQUIRE(second != std::string::npos);
    const Config config = loaded(load_text(folder, uncommented));
    BOOST_TEST(config.user.value == "preforkd");
    BOOST_TEST(config.listeners.size() == services().size());
    for (const std::string& line : lines_of(sample)) BOOST_TEST(line.size() <= 100u, line);
}

BOOST_AUTO_TEST_CASE(the_manual_names_every_key_as_an_item) {
    const std::string manual = manual_page("served", services());
    BOOST_TEST(has(manual, "\n.Dt SERVED.CONF 5\n"));
    for (const KeySpec& key : every_key())
        BOOST_TEST(has(manual, "\n.It Cm " + key.name + " No = Ar "), key.name);
    for (const std::string& line : lines_of(manual)) BOOST_TEST(line.size() <= 80u, line);
    // The made-up title key's document holds a backslash, which mdoc(7) must not see.
    BOOST_TEST(has(manual, "\\e is a backslash.\n"));
    BOOST_TEST(!has(manual, "\\ is a backslash"));
}

BOOST_AUTO_TEST_CASE(the_manual_passes_mandocs_lint, *unit_test::precondition(with_mandoc)) {
    const TemporaryFolder folder;
    const std::string page = folder.write("served.conf.5", manual_page("served", services()));
    // The one thing it can't know here is whether the other manual is installed.
    for (const std::string& line : lines_of(output_of("mandoc -T lint '" + page + "' 2>&1")))
        BOOST_TEST(has(line, "referenced manual not found"), line);
}

BOOST_AUTO_TEST_CASE(text_is_wrapped_between_words) {
    BOOST_TEST(wrapped("", 10, "# ") == "");
    BOOST_TEST(wrapped("one two three", 9, "# ") == "# one two\n# three\n");
    BOOST_TEST(wrapped("a-word-longer-than-that is", 9, "") == "a-word-longer-than-that\nis\n");
    BOOST_TEST(wrapped("  many   blanks  ", 20, "") == "many blanks\n");
}

BOOST_AUTO_TEST_SUITE_END()
