#include "worker/services/http_access_line.hpp"

#include <boost/test/unit_test.hpp>

using namespace preforkd::worker::http;

BOOST_AUTO_TEST_SUITE(http_access_line)

BOOST_AUTO_TEST_CASE(a_line_has_the_combined_format) {
    RequestHead head;
    head.line = "GET /a?b HTTP/1.1";
    head.values[static_cast<std::size_t>(Field::referer)] = "http://c/";
    head.values[static_cast<std::size_t>(Field::user_agent)] = "Mozilla/5.0 (X11)";
    AccessLines lines;
    BOOST_TEST(lines.render("192.0.2.1", head, Status::ok, 1234, 784111777) ==
               "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP/1.1\" 200 1234 "
               "\"http://c/\" \"Mozilla/5.0 (X11)\"\n");
    BOOST_TEST(lines.render("::1", RequestHead{}, Status::bad_request, {}, 784111778) ==
               "::1 - - [06/Nov/1994:08:49:38 +0000] \"-\" 400 - \"-\" \"-\"\n");
}

BOOST_AUTO_TEST_CASE(nothing_that_a_client_sends_ends_a_field_or_a_line) {
    RequestHead head;
    const std::string_view hostile("a\"b\\c\nd\re\x7f\xff\x1b[0m\0f", 17);
    head.values[static_cast<std::size_t>(Field::user_agent)] = hostile;
    AccessLines lines;
    const std::string line(lines.render("a", head, Status::ok, 0, 0));
    BOOST_TEST(line.substr(line.rfind(" \"")) ==
               " \"a\\x22b\\x5cc\\x0ad\\x0de\\x7f\\xff\\x1b[0m\\x00f\"\n");
}

BOOST_AUTO_TEST_CASE(a_json_line_names_its_values) {
    RequestHead head;
    head.line = "GET /a?b HTTP/1.1";
    head.method_text = "GET";
    head.target = "/a?b";
    head.host = "c:8080";
    head.values[static_cast<std::size_t>(Field::user_agent)] = "Mozilla/5.0 (X11)";
    AccessLines lines(preforkd::LogFormat::json, "web");
    BOOST_TEST(lines.render("192.0.2.1", head, Status::ok, 1234, 784111777) ==
               R"({"time":"1994-11-06T08:49:37Z","listener":"web","client":"192.0.2.1",)"
               R"("host":"c:8080","method":"GET","target":"/a?b","request":"GET /a?b HTTP/1.1",)"
               R"~("status":200,"bytes":1234,"referer":null,"user_agent":"Mozilla/5.0 (X11)"})~"
               "\n");
    BOOST_TEST(lines.render("::1", RequestHead{}, Status::bad_request, {}, 784111778) ==
               R"({"time":"1994-11-06T08:49:38Z","listener":"web","client":"::1",)"
               R"("host":null,"method":null,"target":null,"request":null,)"
               R"("status":400,"bytes":null,"referer":null,"user_agent":null})"
               "\n");
}

BOOST_AUTO_TEST_CASE(nothing_that_a_client_sends_ends_a_json_value_or_line) {
    RequestHead head;
    const std::string_view hostile("a\"b\\c\nd\re\x7f\xff\x1b[0m\0f", 17);
    head.values[static_cast<std::size_t>(Field::user_agent)] = hostile;
    AccessLines lines(preforkd::LogFormat::json);
    const std::string line(lines.render("a", head, Status::ok, 0, 0));
    BOOST_TEST(line.substr(line.rfind(':')) ==
               R"(:"a\u0022b\u005cc\u000ad\u000de\u007f\u00ff\u001b[0m\u0000f"})"
               "\n");
}

BOOST_AUTO_TEST_CASE(long_values_are_cut) {
    RequestHead head;
    const std::string agent(10000, 'x');
    head.values[static_cast<std::size_t>(Field::user_agent)] = agent;
    AccessLines lines;
    BOOST_TEST(lines.render("a", head, Status::ok, 0, 0).size() < 3000U);
}

BOOST_AUTO_TEST_SUITE_END()
