#include "worker/services/http_parser.hpp"

#include <boost/test/unit_test.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

using namespace preforkd::worker::http;
using namespace std::string_literals;

namespace {

struct Parsed {
    std::unique_ptr<std::string> bytes;  // which the head's views point into
    HeadResult result;
    RequestHead head;
};

// The bytes stand alone on the heap, so that the address sanitizer sees a read beyond them.
HeadResult parse_alone(std::string_view bytes, const Limits& limits) {
    const std::unique_ptr<char[]> copy(new char[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), copy.get());
    RequestHead head;
    return parse_head({copy.get(), bytes.size()}, limits, head);
}

bool same(const HeadResult& a, const HeadResult& b) {
    return a.kind == b.kind && a.length == b.length && a.refusal.status == b.refusal.status &&
           std::string_view(a.refusal.why) == b.refusal.why;
}

// Parses the whole, and checks that each prefix gives `incomplete` until it gives the same.
Parsed parse(const std::string& bytes, const Limits& limits = {}) {
    Parsed parsed;
    parsed.bytes = std::make_unique<std::string>(bytes);
    parsed.result = parse_head(*parsed.bytes, limits, parsed.head);
    bool decided = false;
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        const HeadResult prefix = parse_alone(std::string_view(bytes).substr(0, size), limits);
        if (prefix.kind == HeadResult::Kind::incomplete && !decided) continue;
        decided = true;
        if (!same(prefix, parsed.result))
            BOOST_ERROR("the first " << size << " bytes are judged differently: " << bytes);
    }
    return parsed;
}

unsigned status_of(const Parsed& parsed) {
    switch (parsed.result.kind) {
        case HeadResult::Kind::incomplete:
            return 0;
        case HeadResult::Kind::complete:
            return 200;
        case HeadResult::Kind::refused:
            break;
    }
    return code(parsed.result.refusal.status);
}

struct Case {
    std::string bytes;
    unsigned status;
    std::string why;
};

void check(const std::vector<Case>& cases, const Limits& limits = {}) {
    for (const Case& each : cases) {
        BOOST_TEST_CONTEXT(each.bytes) {
            const Parsed parsed = parse(each.bytes, limits);
            BOOST_TEST(status_of(parsed) == each.status);
            BOOST_TEST(parsed.result.refusal.why == each.why);
            if (each.status == 200) BOOST_TEST(parsed.result.length == each.bytes.size());
        }
    }
}

std::string get_with(const std::string& fields) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_parser)

BOOST_AUTO_TEST_CASE(a_simple_request_is_taken_apart) {
    const std::string bytes =
        "GET /a/b?c=d HTTP/1.1\r\nHost: example.org:8080\r\nUser-Agent: \t me \r\nX: y\r\n\r\n";
    const Parsed parsed = parse(bytes + "GET");
    BOOST_TEST(status_of(parsed) == 200U);
    BOOST_TEST(parsed.result.length == bytes.size());
    const RequestHead& head = parsed.head;
    BOOST_TEST(head.line == "GET /a/b?c=d HTTP/1.1");
    BOOST_TEST(head.method_text == "GET");
    BOOST_TEST((head.method == Method::get));
    BOOST_TEST(head.target == "/a/b?c=d");
    BOOST_TEST((head.form == TargetForm::origin));
    BOOST_TEST(head.path == "/a/b");
    BOOST_TEST(head.query == "?c=d");
    BOOST_TEST(head.host == "example.org:8080");
    BOOST_TEST(head.value(Field::user_agent) == "me");
    BOOST_TEST(head.minor_version == 1);
    BOOST_TEST(head.keep_alive);
    BOOST_TEST((head.body == BodyKind::none));
    BOOST_TEST(!head.has(Field::range));
    BOOST_TEST(head.field_lines == "Host: example.org:8080\r\nUser-Agent: \t me \r\nX: y\r\n");
}

BOOST_AUTO_TEST_CASE(every_kept_field_is_found_in_any_case) {
    const std::pair<const char*, Field> kept[] = {
        {"HOST", Field::host},
        {"Connection", Field::connection},
        {"Content-Length", Field::content_length},
        {"transfer-ENCODING", Field::transfer_encoding},
        {"Expect", Field::expect},
        {"Range", Field::range},
        {"If-Range", Field::if_range},
        {"If-Match", Field::if_match},
        {"If-None-Match", Field::if_none_match},
        {"If-Modified-Since", Field::if_modified_since},
        {"If-Unmodified-Since", Field::if_unmodified_since},
        {"Accept-Encoding", Field::accept_encoding},
        {"Referer", Field::referer},
        {"User-Agent", Field::user_agent},
    };
    for (const auto& [name, field] : kept) BOOST_TEST((field_of(name) == field), name);
    for (const char* name :
         {"", "H", "Hosts", "Rangf", "If-Modified-Sincf", "X-If-Unmodified-Since", "Content_Length",
          "a-name-longer-than-any-that-is-kept"})
        BOOST_TEST((field_of(name) == Field::none), name);
}

BOOST_AUTO_TEST_CASE(methods_are_told_apart_by_their_exact_name) {
    const std::pair<const char*, Method> methods[] = {
        {"GET", Method::get},      {"HEAD", Method::head},        {"OPTIONS", Method::options},
        {"POST", Method::known},   {"PUT", Method::known},        {"DELETE", Method::known},
        {"TRACE", Method::known},  {"PATCH", Method::known},      {"get", Method::unknown},
        {"GETS", Method::unknown}, {"M-SEARCH", Method::unknown},
    };
    for (const auto& [name, method] : methods) {
        const Parsed parsed = parse(name + " / HTTP/1.1\r\nHost: a\r\n\r\n"s);
        BOOST_TEST(status_of(parsed) == 200U, name);
        BOOST_TEST((parsed.head.method == method), name);
    }
}

BOOST_AUTO_TEST_CASE(a_malformed_request_line_is_refused) {
    const std::string rest = "\r\nHost: a\r\n\r\n";
    const char* const method = "malformed method";
    const char* const target = "target empty or with a forbidden character";
    const char* const version = "malformed version or line end";
    check({
        {" GET / HTTP/1.1" + rest, 400, method},
        {"G(T / HTTP/1.1" + rest, 400, method},
        {"GET\t/ HTTP/1.1" + rest, 400, method},
        {"GET\r\n\r\n", 400, method},
        {"\n\nGET / HTTP/1.1" + rest, 400, method},
        {"\r\n\r\nGET / HTTP/1.1" + rest, 400, method},
        {"\rGET / HTTP/1.1" + rest, 400, "bare CR before the request line"},
        {"\x16\x03\x01\x02\x05\x01", 400, method},  // a TLS client hello
        {std::string(33, 'M') + " / HTTP/1.1" + rest, 501, "method too long"},
        {"GET  / HTTP/1.1" + rest, 400, target},
        {"GET /\r\n", 400, target},
        {"GET /a\tb HTTP/1.1" + rest, 400, target},
        {"GET /\xc3\xa4 HTTP/1.1" + rest, 400, target},
        {"GET /\x7f HTTP/1.1" + rest, 400, target},
        {"GET /\"a HTTP/1.1" + rest, 400, target},
        {"GET /<a> HTTP/1.1" + rest, 400, target},
        {"GET /a#b HTTP/1.1" + rest, 400, target},
        {"GET /a\0b HTTP/1.1"s + rest, 400, target},
        {"GET /  HTTP/1.1" + rest, 400, version},
        {"GET / HTTP/1.1 " + rest, 400, version},
        {"GET / HTTP/1.1\nHost: a\n\n", 400, version},
        {"GET / HTTP/1.1\rHost: a\r\r", 400, version},
        {"GET / http/1.1" + rest, 400, version},
        {"GET / HTTP/11" + rest, 400, version},
        {"GET / HTTP/1.10" + rest, 400, version},
        {"GET / HTTP/+1.1" + rest, 400, version},
        {"GET / HTTP/x.1" + rest, 400, version},
        {"GET / XTTP/1.1" + rest, 400, version},
        {"GET / HTTP/2.0" + rest, 505, "version other than 1.x"},
        {"GET / HTTP/0.9" + rest, 505, "version other than 1.x"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version other than 1.x"},
    });
}

BOOST_AUTO_TEST_CASE(one_empty_line_before_a_request_is_skipped) {
    const std::string bytes = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const Parsed parsed = parse(bytes);
    BOOST_TEST(status_of(parsed) == 200U);
    BOOST_TEST(parsed.result.length == bytes.size());
    BOOST_TEST(parsed.head.line == "GET / HTTP/1.1");
}

BOOST_AUTO_TEST_CASE(later_minor_versions_count_as_1_1) {
    BOOST_TEST(parse("GET / HTTP/1.2\r\nHost: a\r\n\r\n").head.minor_version == 1);
    BOOST_TEST(parse("GET / HTTP/1.9\r\nHost: a\r\n\r\n").head.keep_alive);
    BOOST_TEST(status_of(parse("GET / HTTP/1.2\r\n\r\n")) == 400U);  // so it needs a Host
}

BOOST_AUTO_TEST_CASE(a_target_has_one_of_four_forms) {
    const std::string rest = " HTTP/1.1\r\nHost: field\r\n\r\n";
    const Parsed absolute = parse("GET HTTP://Example.org:80/a?b" + rest);
    BOOST_TEST((absolute.head.form == TargetForm::absolute));
    BOOST_TEST(absolute.head.path == "/a");
    BOOST_TEST(absolute.head.query == "?b");
    BOOST_TEST(absolute.head.host == "Example.org:80");  // not the field's
    BOOST_TEST(parse("GET http://a" + rest).head.path == "/");
    BOOST_TEST(parse("GET http://a?q" + rest).head.path == "/");
    BOOST_TEST(parse("GET http://a?q" + rest).head.query == "?q");
    BOOST_TEST((parse("OPTIONS *" + rest).head.form == TargetForm::asterisk));
    BOOST_TEST((parse("CONNECT a:443" + rest).head.form == TargetForm::authority));
    BOOST_TEST(parse("GET //a/b" + rest).head.path == "//a/b");
    const char* const neither = "target is neither a path nor a URI";
    check({
        {"GET *" + rest, 400, "target * is for OPTIONS alone"},
        {"GET a" + rest, 400, neither},
        {"GET a:80" + rest, 400, neither},
        {"OPTIONS **" + rest, 400, neither},
        {"GET ?q" + rest, 400, neither},
        {"GET https://a/" + rest, 421, "https target on a plain connection"},
        {"GET ftp://a/" + rest, 400, "target has a scheme other than http"},
        {"GET ://a/" + rest, 400, "target has a scheme other than http"},
        {"GET http:///a" + rest, 400, "invalid host in the target"},
        {"GET http://u@a/" + rest, 400, "invalid host in the target"},
        {"GET http://u:p@a/" + rest, 400, "invalid host in the target"},
        {"GET http://a:b/" + rest, 400, "invalid host in the target"},
        {"CONNECT /" + rest, 400, "CONNECT without host and port"},
        {"CONNECT a" + rest, 400, "CONNECT without host and port"},
        {"GET http://a/ HTTP/1.1\r\n\r\n", 400, "no Host"},
        {"GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", 400, "invalid Host"},
    });
}

BOOST_AUTO_TEST_CASE(host_comes_once_and_is_valid) {
    const auto with_host = [](const std::string& value) {
        return "GET / HTTP/1.1\r\nHost:" + value + "\r\n\r\n";
    };
    const std::string repeated = "field repeated that may come once";
    check({
        {"GET / HTTP/1.1\r\n\r\n", 400, "no Host"},
        {"GET / HTTP/1.0\r\n\r\n", 200, ""},
        {"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400, "invalid Host"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, repeated},
        {"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400, repeated},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n", 400, repeated},
    });
    for (const char* valid :
         {"a", " a ", "A.example.", "a:80", "a:", "1.2.3.4:1", "[::1]", "[::1]:80",
          "[1:2::3]:", "[::ffff:1.2.3.4]", "a_b", "xn--4ca.de", "a%20b", "a!$&'()*+;=~"})
        check({{with_host(valid), 200, ""}});
    for (const char* invalid :
         {"",        " ",         "a b",
          "a,b",     "a, a",      "a/b",
          "a?",      "a@b",       "u:p@a",
          ":80",     "a:b",       "a:80:80",
          "a:65536", "a:-1",      "a:99999999999999999999",
          "[::1",    "::1",       "[::1]a",
          "[::1]80", "[]",        "[::1%25eth0]",
          "[v1.a]",  "[1.2.3.4]", "[::1::2]",
          "a%2",     "a%zz",      "a\\b",
          "\"a\"",   "a\xc3\xa4", "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]"})
        check({{with_host(invalid), 400, "invalid Host"}});
}

BOOST_AUTO_TEST_CASE(malformed_field_lines_are_refused) {
    const char* const name = "malformed field name";
    const char* const folded = "folded field line";
    const char* const control = "control character or bare LF in a field";
    check({
        {get_with("X: y\r\n z\r\n"), 400, folded},
        {get_with("X: y\r\n\tz\r\n"), 400, folded},
        {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, folded},
        {get_with("X : y\r\n"), 400, "space before a field's colon"},
        {get_with("X\t: y\r\n"), 400, "space before a field's colon"},
        {get_with("X y: z\r\n"), 400, "space before a field's colon"},
        {get_with(": y\r\n"), 400, name},
        {get_with("X\r\n"), 400, name},
        {get_with("X(: y\r\n"), 400, name},
        {get_with("X\xc3\xa4: y\r\n"), 400, name},
        {get_with("X\0: y\r\n"s), 400, name},
        {get_with("\nX: y\r\n"), 400, name},
        {get_with("X: y\n"), 400, control},
        {get_with("X: y\nZ: z\r\n"), 400, control},
        {get_with("X: y\0\r\n"s), 400, control},
        {get_with("X: y\x01z\r\n"), 400, control},
        {get_with("X: y\x7fz\r\n"), 400, control},
        {get_with("X: 0123456789abcdef0123456789abcdef\x1f\r\n"), 400, control},
        {get_with("X: y\rz\r\n"), 400, "bare CR in a field"},
        {get_with("X: y\r\r\n"), 400, "bare CR in a field"},
        {get_with("\rX: y\r\n"), 400, "bare CR"},
        {get_with("X: \t y \t\xff\x80 \r\n"), 200, ""},
        {get_with("X:\r\n"), 200, ""},
        {get_with("!#$%&'*+-.^_`|~09aZ: y\r\n"), 200, ""},
    });
}

BOOST_AUTO_TEST_CASE(framing_that_could_be_read_two_ways_is_refused) {
    const char* const both = "Content-Length with Transfer-Encoding";
    const char* const repeated = "field repeated that may come once";
    const char* const length = "malformed Content-Length";
    const char* const coding = "transfer coding other than chunked alone";
    check({
        {get_with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400, both},
        {get_with("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), 400, both},
        {get_with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), 400, both},
        {get_with("Content-Length: 3\r\nContent-Length: 3\r\n"), 400, repeated},
        {get_with("Content-Length: 3\r\nContent-Length: 4\r\n"), 400, repeated},
        {get_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400, repeated},
        {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
         "Transfer-Encoding in HTTP/1.0"},
    });
    for (const char* odd : {"", "3, 3", "3,3", "+3", "-3", "0x3", "3 3", "3.0", "03", "00", "3;",
                            "a", "\xb2", "1e3", "3\t3"})
        check({{get_with("Content-Length: "s + odd + "\r\n"), 400, length}});
    for (const char* odd :
         {"", "identity", "xchunked", "chunked, chunked", "chunked,", ",chunked", "gzip, chunked",
          "chunked, gzip", "gzip", "chunked;q=1", "\"chunked\"", "chunked\x0b", "chunke"}) {
        const Parsed parsed = parse(get_with("Transfer-Encoding: "s + odd + "\r\n"));
        BOOST_TEST(status_of(parsed) == 400U, odd);
        if (std::string_view(odd).find('\x0b') == std::string_view::npos)
            BOOST_TEST(parsed.result.refusal.why == coding);
    }
}

BOOST_AUTO_TEST_CASE(framing_is_decided_from_sound_fields) {
    BOOST_TEST((parse(get_with("Transfer-Encoding: chunked\r\n")).head.body == BodyKind::chunked));
    BOOST_TEST(
        (parse(get_with("Transfer-Encoding:  ChUnKeD \r\n")).head.body == BodyKind::chunked));
    const Parsed with_length = parse(get_with("Content-Length: 1234 \r\n"));
    BOOST_TEST((with_length.head.body == BodyKind::length));
    BOOST_TEST(with_length.head.content_length == 1234U);
    BOOST_TEST((parse(get_with("Content-Length: 0\r\n")).head.body == BodyKind::none));
}

BOOST_AUTO_TEST_CASE(content_beyond_the_limit_is_413) {
    const Limits limits{.body = 1000};
    const char* const why = "content longer than max_body";
    check({{get_with("Content-Length: 1000\r\n"), 200, ""},
           {get_with("Content-Length: 1001\r\n"), 413, why},
           {get_with("Content-Length: 9999999999999999999\r\n"), 413, why},
           {get_with("Content-Length: 18446744073709551616\r\n"), 413, why},
           {get_with("Content-Length: 99999999999999999999999999999999\r\n"), 413, why}},
          limits);
}

BOOST_AUTO_TEST_CASE(connections_persist_by_version_and_option) {
    const auto persists = [](const std::string& version, const std::string& fields) {
        const Parsed parsed = parse("GET / HTTP/" + version + "\r\nHost: a\r\n" + fields + "\r\n");
        BOOST_TEST(status_of(parsed) == 200U);
        return parsed.head.keep_alive;
    };
    BOOST_TEST(persists("1.1", ""));
    BOOST_TEST(!persists("1.0", ""));
    BOOST_TEST(!persists("1.1", "Connection: close\r\n"));
    BOOST_TEST(!persists("1.1", "connection: x, CLOSE\r\n"));
    BOOST_TEST(!persists("1.1", "Connection: x\r\nConnection: close\r\n"));
    BOOST_TEST(persists("1.1", "Connection: closed\r\n"));
    BOOST_TEST(persists("1.1", "Connection: , ,\r\n"));
    BOOST_TEST(persists("1.0", "Connection: Keep-Alive\r\n"));
    BOOST_TEST(!persists("1.0", "Connection: keep-alive, close\r\n"));
    BOOST_TEST(!parse("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").head.keep_alive);
}

BOOST_AUTO_TEST_CASE(only_100_continue_can_be_expected) {
    const std::string body = "Content-Length: 3\r\n";
    BOOST_TEST(parse(get_with("Expect: 100-Continue\r\n" + body)).head.expects_continue);
    BOOST_TEST(!parse(get_with("Expect: 100-continue\r\n")).head.expects_continue);
    BOOST_TEST(!parse(get_with(body)).head.expects_continue);
    const Parsed old = parse("GET / HTTP/1.0\r\nExpect: 100-continue\r\n" + body + "\r\n");
    BOOST_TEST(status_of(old) == 200U);
    BOOST_TEST(!old.head.expects_continue);
    check({{get_with("Expect: 200-ok\r\n"), 417, "expectation other than 100-continue"},
           {get_with("Expect: 100-continue, x\r\n"), 417, "expectation other than 100-continue"},
           {get_with("Expect:\r\n"), 200, ""},
           {"GET / HTTP/1.0\r\nExpect: x\r\n\r\n", 200, ""}});
}

BOOST_AUTO_TEST_CASE(fields_with_one_value_come_once) {
    for (const char* name : {"Range", "If-Range", "If-Modified-Since", "If-Unmodified-Since"})
        check({{get_with(name + ": x\r\n"s + name + ": x\r\n"s), 400,
                "field repeated that may come once"}});
}

BOOST_AUTO_TEST_CASE(lists_may_span_lines) {
    const std::string bytes =
        get_with("If-None-Match: \"a\"\r\nX: y\r\nif-none-match:\t\"b\" \r\nIf-None-Match:\r\n");
    const Parsed parsed = parse(bytes);
    BOOST_TEST(status_of(parsed) == 200U);
    BOOST_TEST(parsed.head.is_repeated(Field::if_none_match));
    BOOST_TEST(parsed.head.value(Field::if_none_match) == "\"a\"");
    std::vector<std::string> values;
    const auto take = [&values](std::string_view value) { values.emplace_back(value); };
    for_each_value(parsed.head, Field::if_none_match, take);
    const std::vector<std::string> expected{"\"a\"", "\"b\"", ""};
    BOOST_TEST(values == expected, boost::test_tools::per_element());
    values.clear();
    for_each_value(parsed.head, Field::host, take);
    for_each_value(parsed.head, Field::range, take);
    const std::vector<std::string> only_host{"a"};
    BOOST_TEST(values == only_host, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(limits_have_their_status_at_the_exact_byte) {
    const Limits limits{.head = 200, .line = 50, .fields = 4};
    const auto target = [](std::size_t size) {
        return "GET /" + std::string(size - 1, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n";
    };
    const auto field = [](std::size_t size) {
        return get_with("X:" + std::string(size - 2, 'a') + "\r\n");
    };
    const auto name = [](std::size_t size) { return get_with(std::string(size, 'a') + ":\r\n"); };
    const auto fields = [](int count) {
        std::string text;
        for (int i = 0; i < count; ++i) text += "A: b\r\n";
        return get_with(text);
    };
    check({{target(50), 200, ""},
           {target(51), 414, "target too long"},
           {target(500), 414, "target too long"},
           {field(50), 200, ""},
           {field(51), 431, "field too long"},
           {field(500), 431, "field too long"},
           {name(49), 200, ""},
           {name(51), 431, "field too long"},
           {name(500), 431, "field too long"},
           {fields(3), 200, ""},
           {fields(4), 431, "too many fields"}},
          limits);
}

BOOST_AUTO_TEST_CASE(a_head_has_exactly_the_length_it_may_have) {
    const std::string bytes = get_with("X: " + std::string(100, 'x') + "\r\n");
    check({{bytes, 200, ""}}, Limits{.head = bytes.size()});
    check({{bytes, 431, "head longer than max_head"}}, Limits{.head = bytes.size() - 1});
    check({{bytes, 431, "head longer than max_head"}}, Limits{.head = 30});
    check({{bytes, 414, "head longer than max_head"}}, Limits{.head = 10});
}

BOOST_AUTO_TEST_CASE(the_vectors_that_other_parsers_accepted_are_refused) {
    const std::vector<std::string> vectors = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
        "GET index.html HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\" HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (const std::string& bytes : vectors) BOOST_TEST(status_of(parse(bytes)) == 400U, bytes);
}

BOOST_AUTO_TEST_SUITE_END()
