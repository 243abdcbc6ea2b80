// Sites of an unusual size: a file whose offsets need more than 32 bits, and more files than a
// worker keeps at hand.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/unit/http_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

constexpr std::uint64_t two_gib = 1ULL << 31;
constexpr std::uint64_t four_gib = 1ULL << 32;
constexpr std::uint64_t size_of_sparse = four_gib + 100;

/// A file of holes, but for what is written at a few places.
void make_sparse(const std::filesystem::path& path,
                 std::initializer_list<std::pair<std::uint64_t, std::string>> marks) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    BOOST_REQUIRE(file.is_open());
    for (const auto& [offset, text] : marks)
        BOOST_REQUIRE(::pwrite(file.get(), text.data(), text.size(), static_cast<off_t>(offset)) ==
                      static_cast<ssize_t>(text.size()));
    BOOST_REQUIRE(::ftruncate(file.get(), static_cast<off_t>(size_of_sparse)) == 0);
}

std::string range(std::uint64_t first, std::uint64_t last) {
    return "Range: bytes=" + std::to_string(first) + "-" + std::to_string(last) + "\r\n";
}

/// How many files the test of many makes: PREFORKD_FILES=100000 takes half a minute.
std::size_t file_count() {
    const char* const given = std::getenv("PREFORKD_FILES");
    return given == nullptr ? 10'000 : std::strtoul(given, nullptr, 10);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_large_sites, HttpFixture)

BOOST_AUTO_TEST_CASE(ranges_beyond_two_and_four_gib_are_the_right_bytes) {
    make_sparse(
        root / "sparse.bin",
        {{two_gib - 4, "<2 GiB>!"}, {four_gib - 4, "<4 GiB>!"}, {size_of_sparse - 4, "last"}});
    Peer peer = connect();
    std::string response = exchange(peer, get("/sparse.bin", range(two_gib - 4, two_gib + 3)));
    BOOST_TEST(summary_of(response) == "206 <2 GiB>!");
    BOOST_TEST(field_of(response, "Content-Range") == "bytes 2147483644-2147483651/4294967396");
    response = exchange(peer, get("/sparse.bin", range(four_gib - 4, four_gib + 3)));
    BOOST_TEST(summary_of(response) == "206 <4 GiB>!");
    BOOST_TEST(field_of(response, "Content-Range") == "bytes 4294967292-4294967299/4294967396");
    BOOST_TEST(summary_of(exchange(peer, get("/sparse.bin", "Range: bytes=-4\r\n"))) == "206 last");
    BOOST_TEST(content_of(exchange(peer, get("/sparse.bin", "Range: bytes=4294967292-\r\n"))) ==
               "<4 GiB>!" + std::string(92, '\0') + "last");
    response = exchange(peer, get("/sparse.bin", range(size_of_sparse, size_of_sparse + 1)));
    BOOST_TEST(status_of(response) == "416");
    BOOST_TEST(field_of(response, "Content-Range") == "bytes */4294967396");
    response = exchange(peer, "HEAD /sparse.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    BOOST_TEST(field_of(response, "Content-Length") == "4294967396");
}

BOOST_AUTO_TEST_CASE(long_and_several_ranges_cross_four_gib) {
    make_sparse(root / "sparse.bin", {{two_gib - 4, "<2 GiB>!"}, {four_gib - 4, "<4 GiB>!"}});
    constexpr std::uint64_t around = 3'000'000;
    Peer peer = connect();
    const std::string part =
        content_of(exchange(peer, get("/sparse.bin", range(four_gib - around, four_gib + 99))));
    BOOST_TEST(part.size() == around + 100);
    BOOST_TEST(part.find("<4 GiB>!") == around - 4);
    const std::string several = exchange(
        peer, get("/sparse.bin", "Range: bytes=4294967292-4294967299,2147483644-2147483651\r\n"));
    BOOST_TEST(field_of(several, "Content-Length") == std::to_string(content_of(several).size()));
    BOOST_TEST(several.find("\r\n\r\n<4 GiB>!\r\n--") < several.find("\r\n\r\n<2 GiB>!\r\n--"));
    BOOST_TEST(several.find("\r\n\r\n<2 GiB>!\r\n--") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(every_file_of_a_large_tree_is_served) {
    const std::size_t count = file_count();
    const auto name = [](std::size_t i) {
        return std::to_string(i % 100) + "/" + std::to_string(i) + ".txt";
    };
    for (std::size_t i = 0; i < count; ++i) write(name(i), "content of " + std::to_string(i));
    Peer peer = connect();
    for (std::size_t i = 0; i < count; i += 50) {
        std::string requests;
        for (std::size_t j = i; j < i + 50; ++j) requests += get("/" + name(j));
        const std::string responses = exchange(peer, requests);
        std::size_t at = 0;
        for (std::size_t j = i; j < i + 50 && at != std::string::npos; ++j)
            at = responses.find("\r\n\r\ncontent of " + std::to_string(j), at);
        if (at == std::string::npos) BOOST_FAIL("a file from " << i << " on is missing");
    }
    BOOST_TEST(summary_of(exchange(peer, get("/a.txt"))) ==
               "200 hello");  // dropped, and found anew
}

BOOST_AUTO_TEST_SUITE_END()
