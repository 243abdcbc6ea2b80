#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <preforkd/run.hpp>
#include <regex>
#include <sstream>

#include "shared/config_docs.hpp"

// The sample file and the manual are generated from the table of keys and committed, so that people
// can read them without building. PREFORKD_REGENERATE=1 writes them anew.

using namespace preforkd;

BOOST_AUTO_TEST_SUITE(documents)

std::string content(const std::filesystem::path& path) {
    const std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void check_committed(const std::string& name, const std::string& generated) {
    const auto path = std::filesystem::path(PREFORKD_SOURCE_DIR) / name;
    if (std::getenv("PREFORKD_REGENERATE") != nullptr) std::ofstream(path) << generated;
    BOOST_TEST(content(path) == generated,
               name << " is not what the keys say; PREFORKD_REGENERATE=1 writes it anew");
}

std::vector<ServiceSpec> services() {
    const auto types = builtin_services();
    return {types.begin(), types.end()};
}

BOOST_AUTO_TEST_CASE(the_sample_file_shows_the_keys_as_they_are) {
    check_committed("conf/preforkd.conf", sample_file("preforkd", services()));
}

BOOST_AUTO_TEST_CASE(the_manual_describes_the_keys_as_they_are) {
    check_committed("conf/man/preforkd.conf.5", manual_page("preforkd", services()));
}

BOOST_AUTO_TEST_CASE(the_program_that_the_readme_shows_is_the_one_that_is_tested) {
    const auto root = std::filesystem::path(PREFORKD_SOURCE_DIR);
    const std::string program = content(root / "tests/consumer/hello.cpp");
    BOOST_TEST(program.starts_with("#include <preforkd/service.hpp>"));
    BOOST_TEST(content(root / "README.md").find("```cpp\n" + program + "```") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(every_test_that_the_rules_of_http_name_exists) {
    const auto tests = std::filesystem::path(PREFORKD_SOURCE_DIR) / "tests";
    const std::string rules = content(tests / "http_rules.md");
    const std::regex name("`(daemon )?([a-z0-9_]+)/([a-z0-9_]+)`");
    std::size_t found = 0;
    for (std::sregex_iterator each(rules.begin(), rules.end(), name), end; each != end; ++each) {
        const std::smatch& test = *each;
        if (test[2] == "suite") continue;  // how they are written
        const auto folder = tests / (test[1].matched ? "daemon" : "unit");
        const std::string source = content(folder / (test.str(2) + ".cpp"));
        BOOST_TEST(source.find("TEST_CASE(" + test.str(3)) != std::string::npos, test.str());
        ++found;
    }
    BOOST_TEST(found > 80U);
}

BOOST_AUTO_TEST_SUITE_END()
