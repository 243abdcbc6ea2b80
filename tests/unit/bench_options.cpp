#include "bench/load/options.hpp"

#include <boost/test/unit_test.hpp>
#include <csignal>

#include "bench/load/protocol.hpp"

using namespace preforkd::bench;
using namespace std::chrono_literals;

namespace {

Options parse(std::vector<const char*> words) {
    words.insert(words.begin(), "load");
    return parse_options(int(words.size()), words.data());
}

std::string request_for(std::vector<const char*> words) {
    const Options options = parse(std::move(words));
    const Protocol protocol(options);
    Random random(1);
    std::string text;
    protocol.request().append_to(text, random);
    return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_options)

BOOST_AUTO_TEST_CASE(durations_have_units) {
    BOOST_TEST((parse_duration("500ms") == 500ms));
    BOOST_TEST((parse_duration("2s") == 2s));
    BOOST_TEST((parse_duration("2") == 2s));
    BOOST_TEST((parse_duration("1.5m") == 90s));
    BOOST_TEST((parse_duration("50us") == 50us));
    BOOST_TEST((parse_duration("1h") == 1h));
    for (const char* bad : {"", "s", "5 s", "5sec", "-1s", "nan", "1e30s"})
        BOOST_CHECK_THROW(static_cast<void>(parse_duration(bad)), UsageError);
}

BOOST_AUTO_TEST_CASE(urls_name_protocol_host_port_and_path) {
    const Url http = parse_url("http://localhost:8080/a/b?c");
    BOOST_TEST((http.protocol == ProtocolName::http));
    BOOST_TEST(http.host == "localhost");
    BOOST_TEST(http.port == "8080");
    BOOST_TEST(http.path == "/a/b?c");
    BOOST_TEST(parse_url("http://example.org").path == "/");
    BOOST_TEST(parse_url("http://example.org").port == "80");
    BOOST_TEST(parse_url("http://[::1]:81/x").host == "::1");
    BOOST_TEST(parse_url("http://[::1]:81/x").port == "81");
    BOOST_TEST(parse_url("http://[::1]").port == "80");
    BOOST_TEST((parse_url("redis://h").protocol == ProtocolName::redis));
    BOOST_TEST(parse_url("board://h").port == "9000");
    for (const char* bad : {"", "localhost:80", "https://x", "http://", "http://:80/", "raw://host",
                            "http://[::1", "http://[::1]x/"})
        BOOST_CHECK_THROW(static_cast<void>(parse_url(bad)), UsageError);
}

BOOST_AUTO_TEST_CASE(a_storm_names_process_signals_and_interval) {
    const Storm storm = parse_storm("4711:HUP,USR2:500ms");
    BOOST_TEST(storm.pid == 4711);
    BOOST_TEST(storm.signals == (std::vector<int>{SIGHUP, SIGUSR2}));
    BOOST_TEST((storm.every == 500ms));
    for (const char* bad :
         {"4711", "4711:HUP", "x:HUP:1s", "0:HUP:1s", "1:FOO:1s", "1:HUP:0s", "1:HUP,:1s"})
        BOOST_CHECK_THROW(static_cast<void>(parse_storm(bad)), UsageError);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_meant_is_refused) {
    using Words = std::vector<const char*>;
    for (const Words& bad :
         {Words{}, Words{"--rate", "5", "--think", "1ms", "http://h/"},
          Words{"-1", "-p", "2", "http://h/"}, Words{"-c", "1", "-t", "2", "http://h/"},
          Words{"--header", "nonsense", "http://h/"}, Words{"--no-such-option", "http://h/"},
          Words{"-d", "0s", "http://h/"}, Words{"-p", "0", "http://h/"},
          Words{"--rate", "-1", "http://h/"}})
        BOOST_CHECK_THROW(parse(bad), UsageError);
}

BOOST_AUTO_TEST_CASE(http_requests_carry_host_fields_and_close) {
    BOOST_TEST(request_for({"http://127.0.0.1:8080/x"}) ==
               "GET /x HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
    BOOST_TEST(request_for({"http://[::1]:80/"}) == "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    BOOST_TEST(request_for({"-1", "--method", "HEAD", "-H", "host: a", "http://h/"}) ==
               "HEAD / HTTP/1.1\r\nhost: a\r\nConnection: close\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(redis_commands_have_true_lengths) {
    BOOST_TEST(request_for({"redis://h"}).starts_with("*2\r\n$3\r\nGET\r\n$16\r\nkey:0000000"));
    BOOST_TEST(request_for({"--command", "SET a  bc", "redis://h"}) ==
               "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nbc\r\n");
}

BOOST_AUTO_TEST_CASE(numbers_stay_in_their_range_and_reach_its_ends) {
    Random random(7);
    bool low = false, high = false;
    for (int i = 0; i < 10'000; ++i) {
        const std::uint64_t number = random.up_to(10);
        BOOST_REQUIRE(number >= 1 && number <= 10);
        low |= number == 1;
        high |= number == 10;
    }
    BOOST_TEST(low);
    BOOST_TEST(high);
}

BOOST_AUTO_TEST_CASE(each_request_of_a_varying_template_tells_its_number) {
    const RequestTemplate request("READ {n} and {n}\n", 1000);
    Random random(3);
    for (int i = 0; i < 100; ++i) {
        std::string text;
        const std::string number = std::to_string(request.append_to(text, random));
        BOOST_TEST(text == "READ " + number + " and " + number + "\n");
    }
}

BOOST_AUTO_TEST_CASE(raw_text_understands_line_ends) {
    BOOST_TEST(request_for({"--send", "a\\r\\nb\\t\\x", "raw://h:1"}) == "a\r\nb\t\\x");
    const Options options = parse({"raw://h:1"});
    BOOST_CHECK_THROW(Protocol{options}, UsageError);
}

BOOST_AUTO_TEST_SUITE_END()
