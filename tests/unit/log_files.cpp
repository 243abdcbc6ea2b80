#include "master/log_files.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>

#include "shared/result.hpp"
#include "unit/temporary_folder.hpp"

using namespace preforkd;
using namespace preforkd::master;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(log_files)

Config logging_to(const fs::path& path) {
    Config config;
    config.program = "preforkd";
    config.error_log = {LogTarget::Kind::file, path};
    return config;
}

std::string refusal(const Config& config) {
    try {
        (void)open_logs(config, {});
    } catch (const StartupError& error) {
        return error.what();
    }
    return "not refused";
}

bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string content(const fs::path& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(::read(file.get(), text.data(), text.size())));
    return text;
}

BOOST_AUTO_TEST_CASE(an_absent_file_is_made_and_an_old_one_appended_to) {
    const TemporaryFolder folder;
    for (const char* const line : {"one\n", "two\n"}) {
        const LogFiles logs = open_logs(logging_to(folder / "log"), {});
        BOOST_TEST(::write(logs.error.get(), line, 4) == 4);
        BOOST_TEST(!logs.access.is_open());
    }
    BOOST_TEST(content(folder / "log") == "one\ntwo\n");
    struct stat status {};
    BOOST_REQUIRE(::stat((folder / "log").c_str(), &status) == 0);
    BOOST_TEST((status.st_mode & 0137) == 0u);
}

BOOST_AUTO_TEST_CASE(output_goes_with_errors_unless_it_is_told_otherwise) {
    const TemporaryFolder folder;
    Config config = logging_to(folder / "error");
    BOOST_TEST(::write(open_logs(config, {}).output.get(), "a\n", 2) == 2);
    config.output_log = {LogTarget::Kind::file, folder / "output"};
    BOOST_TEST(::write(open_logs(config, {}).output.get(), "b\n", 2) == 2);
    BOOST_TEST(content(folder / "error") == "a\n");
    BOOST_TEST(content(folder / "output") == "b\n");
}

// It was made as well, wherever it was, so that a slip of the pen went unnoticed.
BOOST_AUTO_TEST_CASE(only_the_runtime_folder_is_made_for_a_log) {
    const TemporaryFolder folder;
    Config config = logging_to(folder / "run" / "error.log");
    const std::string told = refusal(config);
    BOOST_TEST(says(told, "the folder '" + (folder / "run").string() + "' does not exist"), told);
    BOOST_TEST(says(told, "make it beforehand"), told);
    BOOST_TEST(!fs::exists(folder / "run"));
    config.runtime_dir = folder / "run";
    (void)open_logs(config, {});
    BOOST_TEST(fs::exists(folder / "run" / "error.log"));
    config = logging_to(folder / "a" / "b" / "error.log");
    config.runtime_dir = folder / "a" / "b";
    BOOST_TEST(says(refusal(config), "can't make its folder"));
}

BOOST_AUTO_TEST_CASE(a_link_is_followed_only_where_nobody_else_could_have_put_it) {
    const TemporaryFolder folder;
    fs::create_symlink(folder / "victim", folder / "log");
    (void)open_logs(logging_to(folder / "log"), {});
    BOOST_TEST(fs::exists(folder / "victim"));

    fs::remove(folder / "victim");
    fs::permissions(folder.path(), fs::perms::others_write, fs::perm_options::add);
    BOOST_TEST(says(refusal(logging_to(folder / "log")), "symbolic link"));
    BOOST_TEST(!fs::exists(folder / "victim"));
}

BOOST_AUTO_TEST_CASE(a_second_name_is_refused_where_others_can_write) {
    const TemporaryFolder folder;
    const UniqueFd victim(::open((folder / "victim").c_str(), O_CREAT | O_WRONLY, 0600));
    fs::create_hard_link(folder / "victim", folder / "log");
    fs::permissions(folder.path(), fs::perms::others_write, fs::perm_options::add);
    BOOST_TEST(says(refusal(logging_to(folder / "log")), "several names"));
}

BOOST_AUTO_TEST_CASE(what_is_no_file_is_refused_and_never_waited_for) {
    const TemporaryFolder folder;
    BOOST_REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
    fs::create_directory(folder / "folder");
    BOOST_TEST(says(refusal(logging_to(folder / "fifo")), "FIFO that nobody reads"));
    BOOST_TEST(says(refusal(logging_to(folder / "folder")), "is a folder"));
    BOOST_TEST(refusal(logging_to("/dev/null")) == "not refused");
}

BOOST_AUTO_TEST_CASE(a_fifo_with_a_reader_is_a_log) {
    const TemporaryFolder folder;
    BOOST_REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
    const UniqueFd reader(::open((folder / "fifo").c_str(), O_RDONLY | O_NONBLOCK));
    BOOST_TEST(refusal(logging_to(folder / "fifo")) == "not refused");
}

BOOST_AUTO_TEST_CASE(syslog_is_a_connected_socket) {
    const TemporaryFolder folder;
    Config config;
    config.error_log.kind = LogTarget::Kind::syslog;
    LogSurroundings surroundings;
    surroundings.syslog_path = folder / "socket";
    BOOST_CHECK_THROW((void)open_logs(config, surroundings), StartupError);

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    surroundings.syslog_path.copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd system_log(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    BOOST_REQUIRE(
        ::bind(system_log.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const LogFiles logs = open_logs(config, surroundings);
    Logger(logs.error.get(), logs.error_style, LogLevel::info, "preforkd").notice("hello");
    char text[200];
    const ssize_t size = ::recv(system_log.get(), text, sizeof text, 0);
    BOOST_TEST(says(std::string(text, static_cast<std::size_t>(size)), "notice hello"));
}

BOOST_AUTO_TEST_SUITE_END()
