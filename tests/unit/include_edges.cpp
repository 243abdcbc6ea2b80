#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

// Which room may know which: the layering of README, "Layout of the source". The services of
// worker/services are a room as well: they have no other door to a worker than <preforkd/...>.
namespace {

/// A line of `source` that includes something of a room that its own room may not know.
std::vector<std::string> forbidden_includes(const std::string& room, std::istream& source) {
    const std::regex to_master("#\\s*include\\s*[<\"](\\.\\./)*master/.*");
    const std::regex to_worker("#\\s*include\\s*[<\"](\\.\\./)*(worker|preforkd)/.*");
    const std::regex to_engine("#\\s*include\\s*[<\"](\\.\\./)*worker/(?!services/).*");
    std::vector<std::string> found;
    for (std::string line; std::getline(source, line);) {
        if (room != "master" && std::regex_search(line, to_master)) found.push_back(line);
        if (room == "shared" && std::regex_search(line, to_worker)) found.push_back(line);
        if (room == "worker/services" && std::regex_search(line, to_engine)) found.push_back(line);
    }
    return found;
}

std::size_t forbidden_in(const std::string& room, const std::string& line) {
    std::istringstream source(line);
    return forbidden_includes(room, source).size();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(include_edges)

BOOST_AUTO_TEST_CASE(no_room_includes_what_it_may_not_know) {
    const std::filesystem::path root = PREFORKD_SOURCE_DIR;
    std::size_t files = 0;
    for (const char* const room : {"shared", "worker", "worker/services"}) {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(root / room)) {
            if (entry.path().extension() != ".cpp" && entry.path().extension() != ".hpp") continue;
            ++files;
            std::ifstream source(entry.path());
            for (const std::string& line : forbidden_includes(room, source))
                BOOST_ERROR(entry.path().string() + ": forbidden: " + line);
        }
    }
    BOOST_TEST(files > 10u);
}

BOOST_AUTO_TEST_CASE(the_scan_sees_each_forbidden_edge_and_no_other) {
    BOOST_TEST(forbidden_in("shared", "#include \"master/spawn.hpp\"") == 1u);
    BOOST_TEST(forbidden_in("shared", "#  include <worker/session.hpp>") == 1u);
    BOOST_TEST(forbidden_in("shared", "#include <preforkd/service.hpp>") == 1u);
    BOOST_TEST(forbidden_in("worker", "#include \"../master/spawn.hpp\"") == 1u);
    BOOST_TEST(forbidden_in("worker/services", "#include \"worker/session.hpp\"") == 1u);
    BOOST_TEST(forbidden_in("worker/services", "#include \"worker/services/http.hpp\"") == 0u);
    BOOST_TEST(forbidden_in("worker", "#include \"worker/session.hpp\"") == 0u);
    BOOST_TEST(forbidden_in("worker", "#include \"shared/log.hpp\"") == 0u);
    BOOST_TEST(forbidden_in("worker", "#include <preforkd/service.hpp>") == 0u);
    BOOST_TEST(forbidden_in("shared", "#include \"shared/log.hpp\"") == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
