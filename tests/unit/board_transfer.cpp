#include "worker/services/board_transfer.hpp"

#include <poll.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "board_fixture.hpp"
#include "worker/services/board_command.hpp"

using namespace board_test;

namespace {

struct Board {
    Folder folder;
    std::string bb = folder / "bb";

    int run(std::vector<std::string> arguments, const std::string& input = {}) {
        overwrite(folder / "in", input);
        const UniqueFd in(::open((folder / "in").c_str(), O_RDONLY | O_CLOEXEC));
        const UniqueFd out(
            ::open((folder / "out").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        const UniqueFd messages(
            ::open((folder / "messages").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        try {
            return run_board_command(arguments, in.get(), out.get(), messages.get());
        } catch (const StartupError& error) {
            overwrite(folder / "messages", error.what());
            return 100 + error.exit_code();
        }
    }
    [[nodiscard]] std::string out() const { return contents(folder / "out"); }
    [[nodiscard]] std::string messages() const { return contents(folder / "messages"); }

    /// Breaks the byte at which `text` lies in the board.
    void damage(const std::string& text) {
        auto bytes = contents(bb);
        const auto at = bytes.rfind(text);
        BOOST_REQUIRE(at != std::string::npos);
        bytes[at] = static_cast<char>(bytes[at] ^ 1);
        overwrite(bb, bytes);
    }
};

std::string lines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
        text += std::to_string(i) + "/poster/message number " + std::to_string(i) + "\n";
    return text;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(board_transfer, Board)

BOOST_AUTO_TEST_CASE(what_was_imported_is_exported_byte_by_byte) {
    const std::string text =
        "0/ann/first\n"
        "1/bob/with/slashes\n"
        "2/\xc3\xa9ric/\xe2\x82\xac 5\n"
        "3/ann/" +
        std::string(5000, 'x') + "\n";
    BOOST_TEST(run({"import", bb}, text) == 0);
    BOOST_TEST(messages() == bb + ": 4 messages imported\n");
    BOOST_TEST(run({"export", bb}) == 0);
    BOOST_TEST(out() == text);
    BOOST_TEST(messages() == bb + ": 4 messages, all sound\n");
}

BOOST_AUTO_TEST_CASE(a_big_board_goes_in_and_out_and_is_found_sound) {
    const auto text = lines(100'000);
    BOOST_TEST(run({"import", bb}, text) == 0);
    BOOST_TEST(run({"check", bb}) == 0);
    BOOST_TEST(messages() == bb + ": 100000 messages, all sound\n");
    BOOST_TEST(out() == "");
    BOOST_TEST(run({"export", bb}) == 0);
    BOOST_TEST((out() == text));
}

BOOST_AUTO_TEST_CASE(an_import_goes_on_where_the_board_ends) {
    BOOST_TEST(run({"import", bb}, "0/ann/a\r\n1/ann/b") ==
               0);  // CRLF, and a last line without end
    BOOST_TEST(run({"import", bb}, "2/ann/c\n") == 0);
    BOOST_TEST(run({"export", bb}) == 0);
    BOOST_TEST(out() == "0/ann/a\n1/ann/b\n2/ann/c\n");
    BOOST_TEST(run({"import", bb}, "2/ann/d\n") == 101);
    BOOST_TEST(messages() ==
               bb + ": line 1 of the text: message 2 is there already, with other words; the "
                    "board goes on with 3; the messages before it were imported (up to number 2); "
                    "correct it and import again: what is there already is skipped");
}

BOOST_AUTO_TEST_CASE(a_gap_is_refused_or_filled) {
    BOOST_TEST(run({"import", bb}, "0/ann/a\n3/ann/d\n") == 101);
    BOOST_TEST(messages().starts_with(
        bb + ": line 2 of the text: message 3 comes where 1 was expected; with --fill-gaps a "));
    BOOST_TEST(run({"export", bb}) == 0);
    BOOST_TEST(out() == "0/ann/a\n");
    BOOST_TEST(run({"import", "--fill-gaps", bb}, "0/ann/a\n3/ann/d\n") == 0);
    BOOST_TEST(messages() == bb + ": 1 messages imported, 2 placeholders where numbers were "
                                  "missing, 1 were there already\n");
    BOOST_TEST(run({"export", bb}) == 0);
    BOOST_TEST(out() == "0/ann/a\n1/nobody/(missing)\n2/nobody/(missing)\n3/ann/d\n");
}

BOOST_AUTO_TEST_CASE(a_wide_gap_is_filled_only_when_its_width_is_given) {
    // One wrong digit filled the disk, for good: a number is never used again.
    for (const char* const option : {"--fill-gaps", "--fill-gaps=2000"}) {
        BOOST_TEST(run({"import", option, bb}, "0/ann/a\n3000/ann/b\n") == 101);
        BOOST_TEST(messages().find("with --fill-gaps=2999 a placeholder") != std::string::npos);
        Store store(bb, {});
        BOOST_TEST(count(store) == 1u);
    }
    BOOST_TEST(run({"import", "--fill-gaps=2999", bb}, "3000/ann/b\n") == 0);
    BOOST_TEST(messages() ==
               bb + ": 1 messages imported, 2999 placeholders where numbers were missing\n");
    Store store(bb, {});
    BOOST_TEST(count(store) == 3001u);
    BOOST_TEST(read(store, 2999) == placeholder);
}

BOOST_AUTO_TEST_CASE(an_import_that_failed_is_taken_up_where_it_ended) {
    const auto text = lines(100);
    auto faulty = text;
    faulty.insert(faulty.find("50/poster"), "50//no poster\n");
    BOOST_TEST(run({"import", bb}, faulty) == 101);
    BOOST_TEST(messages().starts_with(
        bb +
        ": line 51 of the text: the poster's name is missing; the messages before it were "
        "imported (up to number 49); correct it and import again: "));
    BOOST_TEST(run({"import", bb}, text) == 0);
    BOOST_TEST(messages() == bb + ": 50 messages imported, 50 were there already\n");
    BOOST_TEST(run({"export", bb}) == 0);
    BOOST_TEST(out() == text);
}

BOOST_AUTO_TEST_CASE(a_line_that_is_no_message_is_named) {
    const std::pair<std::string, std::string> cases[] = {
        {"0/ann", "it is not number/poster/message"},
        {"", "it is not number/poster/message"},
        {"x/ann/a", "it is not number/poster/message"},
        {"0//a", "the poster's name is missing"},
        {"0/ann/", "the message is empty"},
        {"0/ann/a\tb", "a message has no control characters"},
        {"0/ann/" + std::string(2'000'000, 'x'), "it is longer than 1048576 bytes"},
    };
    for (const auto& [line, expected] : cases) {
        BOOST_TEST(run({"import", bb}, line + "\n") == 101);
        BOOST_TEST(messages() ==
                   bb + ": line 1 of the text: " + expected + "; nothing was imported");
    }
}

BOOST_AUTO_TEST_CASE(damage_is_told_and_the_rest_exported_and_imported_elsewhere) {
    run({"import", bb}, lines(200));
    damage("message number 77");
    BOOST_TEST(run({"check", bb}) == 1);
    BOOST_TEST(messages() ==
               bb + ": message 77 is damaged\n" + bb + ": 199 sound messages, 1 faults\n");
    BOOST_TEST(run({"export", bb}) == 1);
    auto rescued = lines(200);
    rescued.erase(rescued.find("77/poster"), std::string("77/poster/message number 77\n").size());
    BOOST_TEST(out() == rescued);
    const auto other = folder / "other";
    BOOST_TEST(run({"import", "--fill-gaps", other}, rescued) == 0);
    Store store(other, {});
    BOOST_TEST(read(store, 77) == "nobody/(missing)");
    BOOST_TEST(read(store, 199) == "poster/message number 199");
}

BOOST_AUTO_TEST_CASE(a_page_that_is_lost_is_told_by_its_messages) {
    run({"import", bb}, lines(2000));
    auto bytes = contents(bb);
    const auto at = bytes.rfind("message number 999") / 4096 * 4096;
    overwrite(bb, bytes.replace(at, 4096, 4096, '\0'));
    BOOST_TEST(run({"check", bb}) == 1);
    BOOST_TEST(messages().find("page " + std::to_string(at / 4096) + " is damaged\n") !=
               std::string::npos);
    BOOST_TEST(messages().find(" are missing\n") != std::string::npos);
    BOOST_TEST(run({"export", bb}) == 1);
    BOOST_TEST(out().find("/poster/message number 999\n") == std::string::npos);
    BOOST_TEST(out().ends_with("\n1999/poster/message number 1999\n"));
}

BOOST_AUTO_TEST_CASE(a_cut_board_gives_what_is_left_of_it) {
    run({"import", bb}, lines(20'000));
    const auto bytes = pages_of(bb);
    overwrite(bb, bytes.substr(0, bytes.size() - 3 * 4096 - 100));
    BOOST_TEST(run({"export", bb}) == 1);
    BOOST_TEST(messages().find(bb + ": it was cut: it has") == 0u);
    BOOST_TEST(std::ranges::count(out(), '\n') > 15'000);
    BOOST_TEST(run({"check", bb}) == 1);
}

BOOST_AUTO_TEST_CASE(a_board_with_one_broken_header_gives_what_the_other_says) {
    run({"import", bb}, lines(100));
    auto bytes = contents(bb);
    bytes.replace(0, 4096, 4096, '\xff');
    overwrite(bb, bytes);
    BOOST_TEST(run({"export", bb}) == 1);
    BOOST_TEST(messages().find("it is not a bulletin board") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_is_no_board_or_no_command_is_refused) {
    BOOST_TEST(run({"export", bb}) == 101);
    BOOST_TEST(messages() == bb + ": No such file or directory");
    overwrite(bb, "some text\n");
    BOOST_TEST(run({"check", bb}) == 101);
    BOOST_TEST(messages().starts_with(bb + ": it is too short for a bulletin board"));
    for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                      {"export"},
                                                      {"purge", bb},
                                                      {"import", "--force", bb},
                                                      {"import", "--fill-gaps=", bb},
                                                      {"import", "--fill-gaps=x", bb},
                                                      {"import", "--fill-gaps"},
                                                      {"check", ""},
                                                      {"check", bb, bb}}) {
        BOOST_TEST(run(arguments) == 2);
        BOOST_TEST(messages().starts_with("usage: preforkctl board"));
    }
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"-h"}, {"import", "--help"}}) {
        BOOST_TEST(run(arguments) == 0);
        BOOST_TEST(out().starts_with("usage: preforkctl board"));
    }
}

BOOST_AUTO_TEST_CASE(a_served_board_is_exported_and_checked_meanwhile) {
    run({"import", bb}, lines(1000));
    Pipe end;
    Child writer([&] {
        Store store(bb, {});
        end.write_end.reset();
        for (std::uint64_t i = 0;; ++i) {
            char byte = 0;
            pollfd closed{.fd = end.read_end.get(), .events = POLLIN, .revents = 0};
            if (::poll(&closed, 1, 0) == 1)
                return static_cast<int>(::read(end.read_end.get(), &byte, 1));
            auto transaction = Transaction::begin(store);
            if (!transaction || !transaction->replace(i % 1000, "bob/changed " + std::to_string(i)))
                return 1;
            if (transaction->commit()) return 2;
        }
    });
    for (int i = 0; i < 20; ++i) {
        BOOST_TEST(run({"check", bb}) == 0);
        BOOST_TEST(run({"export", bb}) == 0);
        BOOST_TEST(std::ranges::count(out(), '\n') == 1000);
    }
    end.write_end.reset();
    BOOST_TEST(writer.exit_code() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
