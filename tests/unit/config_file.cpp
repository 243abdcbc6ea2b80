#include "shared/config_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <string>

#include "tests/unit/config_fixture.hpp"

using namespace config_fixture;

BOOST_AUTO_TEST_SUITE(config_file)

namespace {

std::string read(const std::filesystem::path& file, std::string& faults, uid_t uid = 1000) {
    Faults found;
    std::string text = read_config_file(file, uid, found);
    faults = to_string(found);
    return text;
}

/// The fault of reading `file`, which must give no text.
std::string fault_of(const std::filesystem::path& file, uid_t uid = 1000) {
    std::string faults;
    BOOST_TEST(read(file, faults, uid) == "");
    return faults;
}

namespace unit_test = boost::unit_test;

boost::test_tools::assertion_result as_root(unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(::geteuid() == 0);
    result.message() << "only root can make files that root trusts";
    return result;
}

boost::test_tools::assertion_result as_a_user(unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(::geteuid() != 0);
    result.message() << "root may read every file";
    return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_file_is_read_through_links) {
    const TemporaryFolder folder;
    folder.write("conf", "text");
    std::filesystem::create_symlink("conf", folder.path() / "link");
    std::string faults;
    BOOST_TEST(read(folder.path() / "link", faults) == "text");
    BOOST_TEST(faults == "");
}

BOOST_AUTO_TEST_CASE(what_is_no_file_is_refused_without_waiting) {
    const TemporaryFolder folder;
    const std::string path = folder.path();
    const std::string reread = "    a reload reads it again, so it must be a regular file\n";
    BOOST_TEST(fault_of(path) == path + ": it is a folder, not a file\n" + reread);
    BOOST_TEST(fault_of("/dev/null") == "/dev/null: it is a device, not a file\n" + reread);
    BOOST_TEST_REQUIRE(::mkfifo((path + "/pipe").c_str(), 0600) == 0);
    BOOST_TEST(fault_of(path + "/pipe") == path + "/pipe: it is a pipe, not a file\n" + reread);
    std::filesystem::create_symlink("loop", path + "/loop");
    BOOST_TEST(fault_of(path + "/loop") ==
               path +
                   "/loop: cannot read it: Too many levels of symbolic links\n"
                   "    its symbolic links lead in a circle\n");
    BOOST_TEST(fault_of(path + "/none") == path +
                                               "/none: cannot read it: No such file or directory\n"
                                               "    create it, or name another with -c FILE\n");
}

BOOST_AUTO_TEST_CASE(a_file_we_may_not_read_is_a_clear_fault, *unit_test::precondition(as_a_user)) {
    const TemporaryFolder folder;
    const std::string file = folder.write("conf", "text");
    ::chmod(file.c_str(), 0);
    BOOST_TEST(fault_of(file) ==
               file +
                   ": cannot read it: Permission denied\n"
                   "    let this user read it and enter its folders, or start as another\n");
}

BOOST_AUTO_TEST_CASE(a_file_larger_than_a_mebibyte_is_refused) {
    const TemporaryFolder folder;
    std::string faults;
    const std::string most(largest_file, '#');
    BOOST_TEST((read(folder.write("conf", most), faults) == most));
    BOOST_TEST(faults == "");
    const std::string file = folder.write("conf", most + "#");
    BOOST_TEST(fault_of(file) ==
               file + ": it is larger than 1024 KiB\n    is this really a configuration file?\n");
}

BOOST_AUTO_TEST_CASE(only_root_may_change_what_root_reads) {
    struct Row {
        uid_t uid;
        mode_t mode;
        std::string writer;
    };
    for (const Row& row :
         {Row{0, 0644, ""}, Row{0, 0600, ""}, Row{0, 0755, ""}, Row{7, 0600, "user 7 owns it"},
          Row{0, 0660, "group 3 can write it"}, Row{0, 0602, "everyone can write it"},
          Row{0, 01777, "everyone can write it"}}) {
        struct stat status {};
        status.st_uid = row.uid;
        status.st_gid = 3;
        status.st_mode = row.mode | S_IFREG;
        BOOST_TEST(other_writer(status) == row.writer);
    }
}

BOOST_AUTO_TEST_CASE(root_refuses_a_file_that_others_can_change,
                     *unit_test::precondition(as_root)) {
    const TemporaryFolder folder;
    const std::string file = folder.write("conf", "text");
    std::string faults;
    BOOST_TEST(read(file, faults, 0) == "text");
    BOOST_TEST(faults == "");
    const auto refusal = [&file](const std::string& where, const std::string& why) {
        return file + ": root can't trust " + where + ": " + why + "\n    chown root '" + where +
               "' && chmod go-w '" + where + "'\n";
    };
    ::chmod(file.c_str(), 0622);
    BOOST_TEST(fault_of(file, 0) == refusal(file, "everyone can write it"));
    ::chmod(file.c_str(), 0600);
    BOOST_TEST_REQUIRE(::chown(file.c_str(), 1000, 0) == 0);
    BOOST_TEST(fault_of(file, 0) == refusal(file, "user 1000 owns it"));
    BOOST_TEST_REQUIRE(::chown(file.c_str(), 0, 0) == 0);
    ::chmod(folder.path().c_str(), 01777);
    BOOST_TEST(fault_of(file, 0) == refusal(folder.path(), "everyone can write it"));
    BOOST_TEST(read(file, faults, 1000) == "text");
}

BOOST_AUTO_TEST_CASE(root_looks_at_the_folder_where_the_file_really_is,
                     *unit_test::precondition(as_root)) {
    const TemporaryFolder safe, open;
    open.write("conf", "text");
    ::chmod(open.path().c_str(), 0777);
    const std::string link = safe.path() / "link";
    std::filesystem::create_symlink(open.path() / "conf", link);
    const std::string where = open.path();
    BOOST_TEST(fault_of(link, 0) == link + ": root can't trust " + where +
                                        ": everyone can write it\n    chown root '" + where +
                                        "' && chmod go-w '" + where + "'\n");
}

BOOST_AUTO_TEST_SUITE_END()
