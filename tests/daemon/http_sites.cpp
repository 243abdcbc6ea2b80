#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "daemon.hpp"
#include "site.hpp"
#include "unit/http_text.hpp"

// Sites of an unusual size, from a confined worker of a real daemon.

using namespace preforkd::testing;
using preforkd::test::content_of;
using preforkd::test::field_of;
using preforkd::test::status_of;
using preforkd::test::summary_of;

namespace {

constexpr std::size_t most_files = 100'000;  // as their names have digits
constexpr std::size_t folders = 100;
constexpr std::size_t at_once = 200;

std::string name_of(std::size_t number) {
    return std::to_string(number % folders) + "/" + std::to_string(most_files + number);
}

/// How many files the tree has; none by default, for a hundred thousand take minutes on a busy
/// machine, and unit/http_large_sites has ten thousand in any case.
std::size_t file_count() {
    const char* const given = std::getenv("PREFORKD_FILES");
    return given == nullptr ? 0 : std::min(std::strtoul(given, nullptr, 10), most_files);
}

boost::test_tools::assertion_result needs_patience(boost::unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(file_count() >= at_once);
    result.message() << "slow: needs PREFORKD_FILES=100000";
    return result;
}

/// Files that hold their own numbers.
void make_tree(const Site& site) {
    for (std::size_t i = 0; i < folders; ++i) site.make_folder(std::to_string(i));
    for (std::size_t i = 0; i < file_count(); ++i) {
        const preforkd::UniqueFd file(
            ::open((site.root + "/" + name_of(i)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        BOOST_REQUIRE(file.is_open());
        const std::string content = std::to_string(most_files + i);
        BOOST_REQUIRE(::write(file.get(), content.data(), content.size()) == 6);
    }
}

std::string web(const Site& site) {
    return listener("web", "http", "root = " + site.root + "\n");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_sites)

BOOST_AUTO_TEST_CASE(each_file_of_a_large_tree_is_served,
                     *boost::unit_test::precondition(needs_patience)) {
    const Site site;
    make_tree(site);
    Daemon server({.keys = "workers = 1\n", .sections = web(site)});
    server.start();
    Client client(server.address("web"));
    client.send(request("/" + name_of(0), "keep-alive"));
    // All answers are as long as the first, but for the times in them.
    std::size_t size = 6;
    for (std::string line; line != "\r"; size += line.size() + 1) line = client.receive_line();
    BOOST_TEST(client.receive(6) == "100000");
    for (std::size_t begin = 0; begin + at_once <= file_count(); begin += at_once) {
        std::string requests;
        for (std::size_t i = begin; i < begin + at_once; ++i)
            requests += request("/" + name_of(i), "keep-alive");
        client.send(requests);
        const std::string answers = client.receive(size * at_once);
        for (std::size_t i = 0; i < at_once; ++i)
            if (answers.substr(size * (i + 1) - 10, 10) !=
                "\r\n\r\n" + std::to_string(most_files + begin + i))
                BOOST_FAIL("file " << begin + i << " is not what it was");
    }
    server.stop();
}

BOOST_AUTO_TEST_CASE(ranges_beyond_two_and_four_gib_are_the_right_bytes) {
    constexpr std::uint64_t two_gib = 1ULL << 31, four_gib = 1ULL << 32;
    const Site site;
    site.write("sparse", "");
    const preforkd::UniqueFd file(::open((site.root + "/sparse").c_str(), O_WRONLY | O_CLOEXEC));
    for (const std::uint64_t at : {two_gib - 2, four_gib - 2})
        BOOST_REQUIRE(::pwrite(file.get(), "edge", 4, static_cast<off_t>(at)) == 4);
    BOOST_REQUIRE(::ftruncate(file.get(), static_cast<off_t>(four_gib + 1'000'000)) == 0);
    Daemon server({.sections = web(site)});
    server.start();
    const auto part = [&](const std::string& range) {
        return fetch(server.address("web"), "/sparse", "Range: bytes=" + range + "\r\n");
    };
    BOOST_TEST(summary_of(part("2147483646-2147483649")) == "206 edge");
    const std::string beyond = part("4294967294-4294967297");
    BOOST_TEST(summary_of(beyond) == "206 edge");
    BOOST_TEST(field_of(beyond, "Content-Range") == "bytes 4294967294-4294967297/4295967296");
    const std::string rest = part("4294967294-");
    BOOST_TEST(content_of(rest).size() == 1'000'002U);
    BOOST_TEST(content_of(rest).starts_with(std::string("edge\0", 5)));
    BOOST_TEST(content_of(part("-1000002")) == content_of(rest));
    BOOST_TEST(status_of(part("4295967296-")) == "416");
    server.stop();
}

BOOST_AUTO_TEST_SUITE_END()
