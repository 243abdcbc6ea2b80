#include "master/image.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "shared/result.hpp"
#include "tests/unit/process_support.hpp"

using namespace preforkd;
using namespace preforkd::master;
using preforkd::testing::TempFolder;

namespace {

/// Another name of the program that runs here.
std::string link_to_us(const TempFolder& folder, const std::string& name) {
    const std::string path = folder / name;
    std::filesystem::create_symlink(std::filesystem::read_symlink("/proc/self/exe"), path);
    return path;
}

std::string refusal(const std::string& path) {
    try {
        (void)open_image(path, std::nullopt);
    } catch (const StartupError& error) {
        return error.what();
    }
    return "";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(image)

BOOST_AUTO_TEST_CASE(a_name_with_folders_starts_from_the_callers) {
    const TempFolder folder;
    const std::string link = link_to_us(folder, "current");
    BOOST_TEST(image_path_of("./current", folder.path(), "") == link);
    BOOST_TEST(image_path_of(".." + folder.path() + "/current", "/tmp", "") == link);
    BOOST_TEST(image_path_of(link, "/", "") == link);
}

BOOST_AUTO_TEST_CASE(a_bare_name_is_looked_for_in_the_path) {
    const TempFolder folder, other;
    std::ofstream(other / "current") << "another program of that name";
    const std::string link = link_to_us(folder, "current");
    BOOST_TEST(image_path_of("current", "/", other.path() + "::/nowhere:" + folder.path()) == link);
    BOOST_TEST(image_path_of("current", folder.path(), "") != link);
    BOOST_TEST(image_path_of("current", folder.path(), "/nowhere::/usr") == link);
}

BOOST_AUTO_TEST_CASE(a_name_that_leads_elsewhere_is_not_believed) {
    const std::string ours = std::filesystem::read_symlink("/proc/self/exe");
    for (const char* const name : {"/bin/true", "true", "-bash", "", "/nowhere/preforkd"})
        BOOST_TEST(image_path_of(name, "/", "/bin:/usr/bin") == ours);
}

BOOST_AUTO_TEST_CASE(a_good_program_is_opened_and_watched_for_changes) {
    const TempFolder folder;
    const std::string path = folder / "program";
    std::filesystem::copy_file("/bin/true", path);
    std::filesystem::permissions(path, std::filesystem::perms(0755));
    const Image image = open_image(path, std::nullopt);
    BOOST_TEST(image.file.is_open());
    BOOST_TEST(image.is_unchanged());
    std::ofstream(path, std::ios::app) << "x";
    BOOST_TEST(!image.is_unchanged());
}

BOOST_AUTO_TEST_CASE(what_is_no_program_is_refused_with_its_path) {
    const TempFolder folder;
    const std::string path = folder / "program";
    BOOST_TEST(refusal(path).starts_with(path + ": can't open it: No such file"));
    std::ofstream(path) << "#!/bin/sh\n";
    BOOST_TEST(refusal(path).starts_with(path + ": is no program (no ELF file)"));
    BOOST_TEST(refusal(folder.path()).starts_with(folder.path() + ": is no regular file"));
}

BOOST_AUTO_TEST_SUITE_END()
