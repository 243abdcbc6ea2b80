#include <arpa/inet.h>
#include <sys/un.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "shared/address.hpp"
#include "tests/unit/config_fixture.hpp"

using namespace config_fixture;

BOOST_AUTO_TEST_SUITE(config_addresses)

namespace {

ParsedAddress parsed(const std::string& text) {
    return parse_address(text, "/base", resolve);
}

std::string texts_of(const ParsedAddress& parsed) {
    std::string texts;
    for (const Address& address : parsed.addresses) texts += address.text + " ";
    if (!texts.empty()) texts.pop_back();
    return texts;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_form_of_address_has_one_canonical_text) {
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"*:80", "0.0.0.0:80"},
        {":80", "0.0.0.0:80"},
        {"0.0.0.0:80", "0.0.0.0:80"},
        {"127.0.0.1:0", "127.0.0.1:0"},
        {"10.0.0.1:65535", "10.0.0.1:65535"},
        {"[::]:80", "[::]:80"},
        {"[0:0::1]:080", "[::1]:80"},
        {"[fe80::1%1]:80", "[fe80::1%1]:80"},
        {"localhost:80", "127.0.0.1:80"},
        {"both.test:80", "192.0.2.1:80 [2001:db8::1]:80"},
        {"unix:/run/x.sock", "unix:/run/x.sock"},
        {"unix:x.sock", "unix:/base/x.sock"},
        {"unix:./a:b", "unix:/base/a:b"},
    };
    for (const auto& [text, canonical] : rows) {
        BOOST_TEST_CONTEXT(text) {
            BOOST_TEST(parsed(text).problem == "");
            BOOST_TEST(texts_of(parsed(text)) == canonical);
            for (const Address& address : parsed(text).addresses)
                BOOST_TEST(texts_of(parsed(address.text)) == address.text);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_wrong_address_is_told_how_to_write_it) {
    const std::string forms =
        "write it as in *:80, 127.0.0.1:80, [::]:80, localhost:80 or unix:/run/web.sock";
    const std::string path(104, 'x');
    struct Row {
        std::string text, problem, hint;
    };
    const std::vector<Row> rows = {
        {"80", "'80' has no port", forms},
        {"localhost", "'localhost' has no port", forms},
        {"[::1]", "'[::1]' has no port", forms},
        {"*:", "'' is not a port; expected 0 to 65535", ""},
        {"*:65536", "'65536' is not a port; expected 0 to 65535", ""},
        {"*:-1", "'-1' is not a port; expected 0 to 65535", ""},
        {"*:http", "'http' is not a port; expected 0 to 65535", ""},
        {"::1:80", "'::1:80' is ambiguous", "put an IPv6 address in brackets, as in [::1]:80"},
        {"[]:80", "'[]' is not an IPv6 address", "write it as in [::1]:80"},
        {"[127.0.0.1]:80", "'[127.0.0.1]' is not an IPv6 address", "write it as in [::1]:80"},
        {"[::g]:80", "'[::g]' is not an IPv6 address", "write it as in [::1]:80"},
        {"[::ffff:127.0.0.1]:80", "'[::ffff:127.0.0.1]' is an IPv4 address in IPv6 clothes",
         "IPv4 and IPv6 have sockets of their own here: write it as in 127.0.0.1:80"},
        {"256.0.0.1:80", "'256.0.0.1' is not an IPv4 address", "write it as in 127.0.0.1:80"},
        {"127.1:80", "'127.1' is not an IPv4 address", "write it as in 127.0.0.1:80"},
        {"nowhere.test:80", "cannot find host 'nowhere.test': Name or service not known",
         "try another"},
        {"unix:", "'unix:' wants the path of a socket", "write it as in unix:/run/web.sock"},
        {"unix:/run/", "'unix:' wants the path of a socket", "write it as in unix:/run/web.sock"},
        {"unix:@name", "abstract unix sockets are not supported: everyone may connect to them",
         "write a path, as in unix:/run/web.sock"},
        {"unix:/run/" + path, "the path '/run/" + path + "' is too long for a unix socket",
         "make it at most 107 bytes"},
    };
    for (const Row& row : rows) {
        BOOST_TEST_CONTEXT(row.text) {
            BOOST_TEST(parsed(row.text).problem == row.problem);
            BOOST_TEST(parsed(row.text).hint == row.hint);
            BOOST_TEST(parsed(row.text).addresses.empty());
        }
    }
}

BOOST_AUTO_TEST_CASE(the_longest_unix_path_fits) {
    const std::string path = "/" + std::string(106, 'x');
    const ParsedAddress result = parsed("unix:" + path);
    BOOST_TEST_REQUIRE(result.addresses.size() == 1u);
    BOOST_TEST(result.addresses.front().text == "unix:" + path);
    BOOST_TEST(result.addresses.front().length == sizeof(sockaddr_un));
}

BOOST_AUTO_TEST_CASE(an_address_is_what_bind_wants) {
    const Address address = parsed("127.0.0.1:8080").addresses.front();
    BOOST_TEST(address.family() == AF_INET);
    BOOST_TEST(address.length == sizeof(sockaddr_in));
    BOOST_TEST(address.port() == 8080);
    BOOST_TEST(!address.is_wildcard());
    const auto& inet = reinterpret_cast<const sockaddr_in&>(*address.get());
    BOOST_TEST(inet.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    BOOST_TEST(parsed("*:1").addresses.front().is_wildcard());
    BOOST_TEST(parsed("[::]:1").addresses.front().is_wildcard());
    BOOST_TEST(parsed("[::]:1").addresses.front().port() == 1);
    const Address unix_address = parsed("unix:/x").addresses.front();
    BOOST_TEST(unix_address.is_unix());
    BOOST_TEST(unix_address.port() == 0);
    BOOST_TEST(!unix_address.is_wildcard());
}

BOOST_AUTO_TEST_CASE(the_kernels_address_of_a_unix_socket_need_not_end_with_a_nul) {
    sockaddr_un full{};
    full.sun_family = AF_UNIX;
    std::memset(full.sun_path, 'x', sizeof full.sun_path);
    const auto* bytes = reinterpret_cast<const sockaddr*>(&full);
    BOOST_TEST(make_address(bytes, sizeof full).text ==
               "unix:" + std::string(sizeof full.sun_path, 'x'));
    BOOST_TEST(make_address(bytes, sizeof(sa_family_t)).text == "unix:");
}

BOOST_AUTO_TEST_CASE(the_system_finds_localhost) {
    const ParsedAddress found = resolve_by_system("localhost", 81);
    BOOST_TEST_REQUIRE(found.problem == "");
    BOOST_TEST(!found.addresses.empty());
    for (const Address& address : found.addresses) BOOST_TEST(address.port() == 81);
}

BOOST_AUTO_TEST_SUITE_END()
