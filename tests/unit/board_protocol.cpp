#include "worker/services/board_protocol.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

using namespace preforkd::worker::board;

namespace {

using Pieces = std::vector<std::string>;

/// Every line of `pieces`, fed one by one; an overlong one ends in "...".
std::vector<std::string> lines_of(const Pieces& pieces, std::size_t max_line) {
    LineReader reader(max_line);
    std::vector<std::string> lines;
    for (std::string_view piece : pieces) {
        while (const auto line = reader.next(piece))
            lines.push_back(std::string(line->text) + (line->is_overlong ? "..." : ""));
        BOOST_TEST(piece.empty());
    }
    return lines;
}

Pieces bytes_of(const std::string& text) {
    Pieces pieces;
    for (const char c : text) pieces.emplace_back(1, c);
    return pieces;
}

/// What a command says, in one word each, so that a table of cases reads well.
std::string said(std::string_view line) {
    const Command command = parse(line);
    std::string out;
    if (!command.fault.empty()) {
        append_error(out, command.verb, command.fault);
        out.pop_back();
        return out;
    }
    static const char* const names[] = {"user", "read",  "write", "replace", "list",
                                        "last", "count", "watch", "quit",    "unknown"};
    out = names[static_cast<std::size_t>(command.verb)];
    if (command.number != no_number) out += " #" + std::to_string(command.number);
    if (!command.digits.empty()) out += " (" + std::string(command.digits) + ")";
    if (command.count != no_number) out += " x" + std::to_string(command.count);
    if (!command.text.empty()) out += " [" + std::string(command.text) + "]";
    return out;
}

struct Case {
    std::string line;
    std::string expected;
};

const std::string commands =
    "5.0 ERROR unknown command; there are USER READ WRITE REPLACE LIST LAST COUNT WATCH QUIT";

const Case cases[] = {
    {"USER ann", "user [ann]"},
    {"USER  ann b ", "user [ann b]"},
    {"USER \xc3\xa9ric", "user [\xc3\xa9ric]"},
    {"USER", "1.2 ERROR USER say USER name"},
    {"USER ", "1.2 ERROR USER say USER name"},
    {"USER a/b", "1.2 ERROR USER a name has no /"},
    {"USER a\tb", "1.2 ERROR USER a name has no control characters"},
    {"USER a\x7f", "1.2 ERROR USER a name has no control characters"},
    {"USER " + std::string(64, 'a'), "user [" + std::string(64, 'a') + "]"},
    {"USER " + std::string(65, 'a'), "1.2 ERROR USER a name has at most 64 bytes"},

    {"READ 0", "read #0"},
    {"READ 17 ", "read #17"},
    {"READ  17", "read #17"},
    {"READ 18446744073709551614", "read #18446744073709551614"},
    {"READ 18446744073709551615", "read (18446744073709551615)"},
    {"READ 0018446744073709551616", "read (18446744073709551616)"},
    {"READ 00000000000000000000000000017", "read #17"},
    {"READ 99999999999999999999x", "2.2 ERROR READ say READ number"},
    {"READ", "2.2 ERROR READ say READ number"},
    {"READ -1", "2.2 ERROR READ say READ number"},
    {"READ +1", "2.2 ERROR READ say READ number"},
    {"READ 0x1", "2.2 ERROR READ say READ number"},
    {"READ 1 2", "2.2 ERROR READ say READ number"},
    {"READ one", "2.2 ERROR READ say READ number"},

    {"WRITE hello", "write [hello]"},
    {"WRITE  two spaces ", "write [ two spaces ]"},
    {"WRITE a/b/c", "write [a/b/c]"},
    {"WRITE \xe2\x82\xac", "write [\xe2\x82\xac]"},
    {"WRITE \xc2\xa0", "write [\xc2\xa0]"},
    {"WRITE", "3.2 ERROR WRITE the message is empty"},
    {"WRITE ", "3.2 ERROR WRITE the message is empty"},
    {"WRITE a\tb", "3.2 ERROR WRITE a message has no control characters"},
    {"WRITE a\rb", "3.2 ERROR WRITE a message has no control characters"},
    {"WRITE \x1b[2J", "3.2 ERROR WRITE a message has no control characters"},
    {"WRITE \xc2\x9b", "3.2 ERROR WRITE a message has no control characters"},
    {std::string("WRITE a\0b", 9), "3.2 ERROR WRITE a message has no control characters"},

    {"REPLACE 3/new", "replace #3 [new]"},
    {"REPLACE 3/a/b", "replace #3 [a/b]"},
    {"REPLACE  3 / new", "replace #3 [ new]"},
    {"REPLACE 99999999999999999999/new", "replace (99999999999999999999) [new]"},
    {"REPLACE 3/", "3.2 ERROR WRITE the message is empty"},
    {"REPLACE 3", "3.2 ERROR WRITE say REPLACE number/message"},
    {"REPLACE /new", "3.2 ERROR WRITE say REPLACE number/message"},
    {"REPLACE x/new", "3.2 ERROR WRITE say REPLACE number/message"},
    {"REPLACE", "3.2 ERROR WRITE say REPLACE number/message"},
    {"REPLACE 3/\x01", "3.2 ERROR WRITE a message has no control characters"},

    {"LIST", "list #0"},
    {"LIST 5", "list #5"},
    {"LIST 5 10", "list #5 x10"},
    {"LIST 0 99999999999999999999", "list #0 x18446744073709551614"},
    {"LIST 18446744073709551615", "list #18446744073709551614"},
    {"LIST 5 10 1", "2.2 ERROR LIST say LIST, LIST from or LIST from count"},
    {"LIST five", "2.2 ERROR LIST say LIST, LIST from or LIST from count"},
    {"LAST", "last x10"},
    {"LAST 3", "last x3"},
    {"LAST 3 4", "2.2 ERROR LAST say LAST or LAST count"},
    {"LAST -3", "2.2 ERROR LAST say LAST or LAST count"},
    {"COUNT", "count"},
    {"COUNT ", "count"},
    {"COUNT 1", "2.2 ERROR COUNT say COUNT alone"},
    {"WATCH", "watch"},
    {"WATCH 0", "watch #0"},
    {"WATCH 18446744073709551615", "watch #18446744073709551614"},
    {"WATCH now", "2.2 ERROR WATCH say WATCH or WATCH from"},
    {"QUIT", "quit"},
    {"QUIT so long\x01", "quit"},

    {"", commands},
    {" ", commands},
    {"read 1", commands},
    {" READ 1", commands},
    {"READ\t1", commands},
    {"READER 1", commands},
    {"GET / HTTP/1.1", commands},
    {std::string("\0", 1), commands},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(board_protocol)

BOOST_AUTO_TEST_CASE(every_command_says_what_it_means_or_what_is_wrong) {
    for (const Case& each : cases) BOOST_TEST(said(each.line) == each.expected);
}

BOOST_AUTO_TEST_CASE(lines_end_in_lf_or_crlf) {
    const std::vector<std::string> expected{"a", "b", "", "", "c\rd", "e\r"};
    BOOST_TEST(lines_of({"a\nb\r\n\n\r\nc\rd\ne\r\r\nrest"}, 10) == expected);
}

BOOST_AUTO_TEST_CASE(a_stream_gives_the_same_lines_split_at_every_byte_and_byte_by_byte) {
    std::string stream;
    for (const Case& each : cases) stream += each.line + "\n";
    stream +=
        "READ 1\r\n\r\n" + std::string(200, 'x') + "\r\n" + std::string(99, 'y') + "\r\rQUIT\n";
    for (const std::size_t max_line : {std::size_t{7}, std::size_t{100}}) {
        const auto expected = lines_of({stream}, max_line);
        BOOST_TEST(expected.size() == std::size(cases) + 4);
        BOOST_TEST(lines_of(bytes_of(stream), max_line) == expected);
        for (std::size_t at = 0; at <= stream.size(); ++at)
            BOOST_REQUIRE(lines_of({stream.substr(0, at), stream.substr(at)}, max_line) ==
                          expected);
    }
}

BOOST_AUTO_TEST_CASE(a_line_of_max_line_bytes_is_taken_and_one_more_is_overlong) {
    const std::vector<std::string> expected{"12345",    "12345",  "12345...",
                                            "12345...", "1234\r", "ok"};
    const std::string stream = "12345\n12345\r\n123456\n123456\r\n1234\r\r\nok\n";
    BOOST_TEST(lines_of({stream}, 5) == expected);
    BOOST_TEST(lines_of(bytes_of(stream), 5) == expected);
}

BOOST_AUTO_TEST_CASE(the_rest_of_an_overlong_line_is_thrown_away_not_parsed) {
    const std::vector<std::string> expected{"WRITE ...", "READ 1"};
    BOOST_TEST(lines_of({"WRITE aaaaaaaa", "QUIT QUIT", " QUIT", "\nREAD 1\n"}, 6) == expected);
}

BOOST_AUTO_TEST_CASE(an_endless_line_takes_no_more_memory_than_max_line) {
    LineReader reader(100);
    const std::string piece(64, 'x');
    for (int i = 0; i < 1000; ++i) {
        std::string_view received = piece;
        BOOST_REQUIRE(!reader.next(received));
    }
    BOOST_TEST(!reader.is_between_lines());
    std::string_view end = "\n";
    const auto line = reader.next(end);
    BOOST_REQUIRE(line);
    BOOST_TEST(line->text.size() == 100u);
    BOOST_TEST(line->is_overlong);
    BOOST_TEST(reader.is_between_lines());
}

BOOST_AUTO_TEST_CASE(an_overlong_command_is_refused_in_its_own_words_but_quit_still_leaves) {
    const Command write = parse(LineReader::Line{.text = "WRITE aaa", .is_overlong = true});
    std::string out;
    append_error(out, write.verb, write.fault);
    BOOST_TEST(out == "3.2 ERROR WRITE the line is too long; the rest of it was thrown away\n");
    const Command quit = parse(LineReader::Line{.text = "QUIT aaa", .is_overlong = true});
    BOOST_TEST((quit.verb == Verb::quit));
    BOOST_TEST(quit.fault.empty());
}

BOOST_AUTO_TEST_CASE(replies_have_the_courses_numbers_and_words) {
    std::string out;
    append_hello(out, "ann");
    append_message(out, 7, "ann/hello");
    append_unknown(out, Verb::read, 8);
    append_unknown(out, Verb::replace, 9);
    append_wrote(out, 18446744073709551614u);
    append_end(out, 0);
    append_count(out, 12);
    append_error(out, Verb::read, "why");
    append_error(out, Verb::replace, "why");
    append_error(out, Verb::unknown, "why");
    append_bye(out, "see you");
    BOOST_TEST(out ==
               "1.0 HELLO ann your messages will bear this name\n"
               "2.0 MESSAGE 7 ann/hello\n"
               "2.1 UNKNOWN 8 no message has this number\n"
               "3.1 UNKNOWN 9 no message has this number\n"
               "3.0 WROTE 18446744073709551614\n"
               "2.3 END 0\n"
               "2.4 COUNT 12\n"
               "2.2 ERROR READ why\n"
               "3.2 ERROR WRITE why\n"
               "5.0 ERROR why\n"
               "4.0 BYE see you\n");
    std::string greeting;
    append_greeting(greeting);
    BOOST_TEST(greeting.starts_with("0.0 "));
    BOOST_TEST(greeting.find('\n') == greeting.size() - 1);
}

BOOST_AUTO_TEST_SUITE_END()
