#include "worker/services/board_clerk.hpp"

#include <boost/test/unit_test.hpp>

#include "board_fixture.hpp"

// The board's answers, without sockets: what a client gets for the lines that it sends.

using namespace board_test;
using Step = Clerk::Step;

namespace preforkd::worker::board {
static std::ostream& operator<<(std::ostream& out, Clerk::Step step) {
    return out << static_cast<int>(step);
}
}  // namespace preforkd::worker::board

namespace {

struct Desk {
    Folder folder;
    Store store{folder / "bb", new_board()};
    Reader reader{store};
    Pipe log;
    Logger log_lines{log.write_end.get(), LogStyle::plain, LogLevel::info, "test"};
    Report logger = report_to(log_lines);
    Clerk clerk{reader, logger};
    Visit visit{100};

    /// As a writer would.
    void write_job() {
        for (WriteRequest& request : visit.job->requests) {
            auto transaction = Transaction::begin(store);
            BOOST_REQUIRE(transaction);
            const auto number = request.replaces
                                    ? transaction->replace(*request.replaces, request.text)
                                    : transaction->append(request.text);
            if (number)
                request.number = *number;
            else
                request.error = number.error();
            BOOST_REQUIRE(!transaction->commit());
        }
    }

    /// All that comes back for `lines`, however many steps it takes.
    std::string say(std::string_view lines, std::size_t room = 1 << 20) {
        std::string all;
        for (;;) {
            std::string out;
            last = clerk.answer(visit, lines, out, room);
            if (last == Step::write) {
                write_job();
                clerk.answer_writes(visit, out);
            }
            all += out;
            if (last != Step::write && last != Step::flush) return all;
            ++pauses;
        }
    }

    Step last = Step::read;
    int pauses = 0;  // for writing or sending
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(board_clerk, Desk)

BOOST_AUTO_TEST_CASE(the_session_of_the_course) {
    BOOST_TEST(say("WRITE hello, world\n") == "3.0 WROTE 0\n");
    BOOST_TEST(say("USER ann\n") == "1.0 HELLO ann your messages will bear this name\n");
    BOOST_TEST(say("WRITE a/b c\r\n") == "3.0 WROTE 1\n");
    BOOST_TEST(say("READ 0\n") == "2.0 MESSAGE 0 nobody/hello, world\n");
    BOOST_TEST(say("READ 1\n") == "2.0 MESSAGE 1 ann/a/b c\n");
    BOOST_TEST(say("READ 2\n") == "2.1 UNKNOWN 2 no message has this number\n");
    BOOST_TEST(say("REPLACE 0/better\n") == "3.0 WROTE 0\n");
    BOOST_TEST(say("READ 0\n") == "2.0 MESSAGE 0 ann/better\n");
    BOOST_TEST(say("REPLACE 7/x\n") == "3.1 UNKNOWN 7 no message has this number\n");
    BOOST_TEST(say("REPLACE 18446744073709551615/x\n") ==
               "3.1 UNKNOWN 18446744073709551615 no message has this number\n");
    BOOST_TEST(say("READ 0184467440737095516160\n") ==
               "2.1 UNKNOWN 184467440737095516160 no message has this number\n");
    BOOST_TEST(last == Step::read);
    BOOST_TEST(say("QUIT and more\n") == "4.0 BYE see you\n");
    BOOST_TEST(last == Step::close);
}

BOOST_AUTO_TEST_CASE(what_is_refused_is_told_with_its_number) {
    BOOST_TEST(say("USER a/b\n").starts_with("1.2 ERROR USER "));
    BOOST_TEST(say("USER\n").starts_with("1.2 ERROR USER "));
    BOOST_TEST(say("READ x\n").starts_with("2.2 ERROR READ "));
    BOOST_TEST(say("WRITE \n").starts_with("3.2 ERROR WRITE "));
    BOOST_TEST(say(std::string("WRITE a\0b\n", 10)).starts_with("3.2 ERROR WRITE "));
    BOOST_TEST(say("WRITE " + std::string(200, 'x') + "\n").starts_with("3.2 ERROR WRITE "));
    BOOST_TEST(say("DELETE 1\n").starts_with("5.0 ERROR "));
    BOOST_TEST(say("\n").starts_with("5.0 ERROR "));
    BOOST_TEST(say("COUNT\n") == "2.4 COUNT 0\n");
}

BOOST_AUTO_TEST_CASE(the_rest_of_a_long_line_is_no_command) {
    const std::string lines = "WRITE " + std::string(94, 'x') + "QUIT now\nCOUNT\n";
    const std::string replies = say(lines);
    BOOST_TEST(replies.starts_with("3.2 ERROR WRITE the line is too long"));
    BOOST_TEST(replies.ends_with("\n2.4 COUNT 0\n"));
    BOOST_TEST(last == Step::read);
}

BOOST_AUTO_TEST_CASE(pipelined_writes_are_one_job_and_a_read_after_them_sees_them) {
    std::string_view lines = "WRITE a\nREPLACE 0/b\nWRITE c\nREAD 0\nCOUNT\nWRITE d\n";
    std::string out;
    BOOST_TEST(clerk.answer(visit, lines, out, 1000) == Step::write);
    BOOST_TEST(out == "");
    BOOST_REQUIRE(visit.job->requests.size() == 3u);
    BOOST_TEST(lines == "READ 0\nCOUNT\nWRITE d\n");
    write_job();
    clerk.answer_writes(visit, out);
    BOOST_TEST(clerk.answer(visit, lines, out, 1000) == Step::write);
    BOOST_TEST(out ==
               "3.0 WROTE 0\n3.0 WROTE 0\n3.0 WROTE 1\n2.0 MESSAGE 0 nobody/b\n2.4 COUNT 2\n");
    BOOST_TEST(visit.job->requests.size() == 1u);
    BOOST_TEST(visit.commands == 6u);
}

BOOST_AUTO_TEST_CASE(a_name_counts_for_what_is_written_after_it) {
    BOOST_TEST(say("WRITE a\nUSER ann\nWRITE b\nUSER bob\nREPLACE 0/c\n") ==
               "3.0 WROTE 0\n1.0 HELLO ann your messages will bear this name\n3.0 WROTE 1\n"
               "1.0 HELLO bob your messages will bear this name\n3.0 WROTE 0\n");
    BOOST_TEST(say("LIST\n") == "2.0 MESSAGE 0 bob/c\n2.0 MESSAGE 1 ann/b\n2.3 END 2\n");
}

BOOST_AUTO_TEST_CASE(any_cut_between_two_pieces_makes_no_difference) {
    const std::string lines = "USER ann\r\nWRITE hello\r\nREAD 0\nREPLACE 0/x\nLAST\n\nCOUNT\n";
    std::string whole;
    for (std::size_t cut = 0; cut <= lines.size(); ++cut) {
        Desk desk;
        std::string replies = desk.say(lines.substr(0, cut));
        replies += desk.say(lines.substr(cut));
        if (cut == 0) whole = replies;
        BOOST_TEST(replies == whole, "cut at " << cut << ": " << replies);
    }
    BOOST_TEST(whole.ends_with("2.4 COUNT 1\n"));
}

BOOST_AUTO_TEST_CASE(lists_show_what_was_asked_for) {
    for (int i = 0; i < 20; ++i) post(store, "ann/" + std::to_string(i));
    BOOST_TEST(say("LIST 18\n") == "2.0 MESSAGE 18 ann/18\n2.0 MESSAGE 19 ann/19\n2.3 END 2\n");
    BOOST_TEST(say("LIST 3 1\n") == "2.0 MESSAGE 3 ann/3\n2.3 END 1\n");
    BOOST_TEST(say("LIST 20\n") == "2.3 END 0\n");
    BOOST_TEST(say("LIST 18446744073709551614 5\n") == "2.3 END 0\n");
    BOOST_TEST(say("LIST 0 0\n") == "2.3 END 0\n");
    BOOST_TEST(say("LAST 1\n") == "2.0 MESSAGE 19 ann/19\n2.3 END 1\n");
    BOOST_TEST(say("LAST\n").ends_with("\n2.3 END 10\n"));
    BOOST_TEST(say("LAST 100\n").ends_with("\n2.3 END 20\n"));
}

BOOST_AUTO_TEST_CASE(a_long_list_pauses_to_be_sent_and_goes_on_where_it_was) {
    for (int i = 0; i < 100; ++i) post(store, "ann/" + std::to_string(i));
    const std::string whole = say("LIST\nCOUNT\n");
    BOOST_TEST(pauses == 0);
    BOOST_TEST(say("LIST\nCOUNT\n", 200) == whole);
    BOOST_TEST(pauses > 8);
    BOOST_TEST(whole.ends_with("2.3 END 100\n2.4 COUNT 100\n"));
}

BOOST_AUTO_TEST_CASE(a_list_ends_where_the_board_ended_when_it_began) {
    for (int i = 0; i < 50; ++i) post(store, "ann/" + std::to_string(i));
    std::string_view lines = "LIST\n";
    std::string out;
    BOOST_TEST(clerk.answer(visit, lines, out, 100) == Step::flush);
    post(store, "ann/later");
    BOOST_TEST(say("", 1 << 20).ends_with("2.0 MESSAGE 49 ann/49\n2.3 END 50\n"));
}

BOOST_AUTO_TEST_CASE(watching_shows_what_comes_and_what_was_asked_for) {
    for (int i = 0; i < 3; ++i) post(store, "ann/" + std::to_string(i));
    BOOST_TEST(say("WATCH\n") == "");
    BOOST_TEST(last == Step::watch);
    clerk.begin_watch(visit);
    BOOST_TEST(visit.has_shown_past());
    std::string out;
    BOOST_TEST(clerk.show_new(visit, out, 1000));
    BOOST_TEST(out == "");
    post(store, "ann/3");
    BOOST_TEST(clerk.show_new(visit, out, 1000));
    BOOST_TEST(out == "2.0 MESSAGE 3 ann/3\n");
    BOOST_TEST(visit.listed == 1u);
    (void)say("WATCH 2\n");
    clerk.begin_watch(visit);
    post(store, "ann/4");
    out.clear();
    BOOST_TEST(!clerk.show_new(visit, out, 10));
    BOOST_TEST(!visit.has_shown_past());
    BOOST_TEST(!clerk.show_new(visit, out, 30));
    BOOST_TEST(visit.has_shown_past());
    BOOST_TEST(clerk.show_new(visit, out, 1000));
    BOOST_TEST(out == "2.0 MESSAGE 2 ann/2\n2.0 MESSAGE 3 ann/3\n2.0 MESSAGE 4 ann/4\n");
    BOOST_TEST(visit.listed == 3u);
    (void)say("WATCH 99999999999999999999\n");
    clerk.begin_watch(visit);
    BOOST_TEST(visit.has_shown_past());
}

BOOST_AUTO_TEST_CASE(an_empty_line_that_ends_a_watch_is_no_command) {
    visit.has_watched = true;
    BOOST_TEST(say("\nCOUNT\n") == "2.4 COUNT 0\n");
    visit.has_watched = true;
    BOOST_TEST(say("COUNT\n\n").starts_with("2.4 COUNT 0\n5.0 ERROR "));
}

BOOST_AUTO_TEST_CASE(a_write_that_failed_says_why_and_the_next_is_tried) {
    (void)say("WRITE a\n");
    std::string_view lines = "WRITE b\nWRITE c\n";
    std::string out;
    BOOST_TEST(clerk.answer(visit, lines, out, 1000) == Step::write);
    visit.job->requests[0].error = lmdb_error(ENOSPC);
    visit.job->requests[1].number = 1;
    clerk.answer_writes(visit, out);
    BOOST_TEST(out == "3.2 ERROR WRITE not stored: No space left on device\n3.0 WROTE 1\n");
    BOOST_TEST(!visit.job);
}

BOOST_AUTO_TEST_CASE(a_damaged_message_is_told_never_shown_and_logged_once) {
    const std::string file = folder / "damaged";
    {
        Store whole(file, new_board());
        for (const char* const text : {"ann/first", "ann/second", "ann/third"}) post(whole, text);
    }
    std::string bytes = contents(file);
    for (std::size_t at; (at = bytes.find("ann/second")) != std::string::npos;) bytes[at + 4] = 'S';
    overwrite(file, bytes);
    Store damaged(file, {});
    Reader damaged_reader(damaged);
    Clerk other(damaged_reader, logger);
    std::string out;
    std::string_view lines = "READ 1\nREAD 1\nLIST\n";
    BOOST_TEST(other.answer(visit, lines, out, 10000) == Step::read);
    BOOST_TEST(out.find("econd") == std::string::npos, out);
    BOOST_TEST(out.starts_with("2.2 ERROR READ the message is damaged on the disk"), out);
    BOOST_TEST(out.ends_with("2.0 MESSAGE 0 ann/first\n2.2 ERROR READ message 1 is damaged on the "
                             "disk\n2.0 MESSAGE 2 ann/third\n2.3 END 2\n"),
               out);
    visit.watch_from = 0;
    other.begin_watch(visit);
    out.clear();
    BOOST_TEST(other.show_new(visit, out, 10000));
    BOOST_TEST(std::count(out.begin(), out.end(), '\n') == 3);
    BOOST_TEST(visit.listed == 2u);  // as LIST counts
    log.write_end.reset();
    char text[4096];
    const auto size = ::read(log.read_end.get(), text, sizeof text);
    const std::string logged(text, static_cast<std::size_t>(size));
    BOOST_TEST(logged.find("message 1 is damaged") != std::string::npos);
    BOOST_TEST(std::count(logged.begin(), logged.end(), '\n') == 1);
}

BOOST_AUTO_TEST_SUITE_END()
