#include "worker/services/board_store.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <boost/test/unit_test.hpp>
#include <vector>

#include "board_fixture.hpp"

using namespace board_test;

BOOST_AUTO_TEST_SUITE(board_store)

BOOST_AUTO_TEST_CASE(a_new_board_is_empty_and_its_numbers_begin_at_0) {
    const Folder folder;
    Store store(folder / "bb", new_board());
    BOOST_TEST(count(store) == 0u);
    BOOST_TEST(read(store, 0) == "(no message has this number)");
    BOOST_TEST(post(store, "ann/first").value() == 0u);
    BOOST_TEST(post(store, "bob/second").value() == 1u);
    BOOST_TEST(read(store, 0) == "ann/first");
    BOOST_TEST(read(store, 1) == "bob/second");
    BOOST_TEST(read(store, 2) == "(no message has this number)");
    BOOST_TEST(read(store, ~std::uint64_t{0}) == "(no message has this number)");
}

BOOST_AUTO_TEST_CASE(messages_of_every_size_survive_closing_and_opening) {
    const Folder folder;
    const auto text = [](std::size_t i) {
        return "p/" + std::string(i * i, static_cast<char>('a' + i % 26));
    };
    {
        Store store(folder / "bb", new_board());
        for (std::size_t i = 0; i < 150; ++i) BOOST_REQUIRE(post(store, text(i)).value() == i);
    }
    Store store(folder / "bb", {});
    BOOST_TEST(count(store) == 150u);
    for (std::size_t i = 0; i < 150; ++i) BOOST_REQUIRE(read(store, i) == text(i));
}

BOOST_AUTO_TEST_CASE(a_file_that_is_missing_is_made_only_when_asked) {
    const Folder folder;
    BOOST_TEST(refusal(folder / "bb") == (folder / "bb") + ": No such file or directory");
    BOOST_TEST(!std::filesystem::exists(folder / "bb"));
    BOOST_TEST(refusal(folder / "bb", new_board()) == "");
}

BOOST_AUTO_TEST_CASE(replacing_keeps_the_number_and_changes_the_text) {
    const Folder folder;
    Store store(folder / "bb", new_board());
    for (int i = 0; i < 300; ++i) post(store, "ann/" + std::to_string(i));
    auto transaction = Transaction::begin(store);
    BOOST_REQUIRE(transaction);
    BOOST_TEST(transaction->replace(150, "bob/" + std::string(3000, 'x')).has_value());
    BOOST_TEST(transaction->replace(300, "bob/none").error() ==
               make_error_code(StoreError::unknown_number));
    BOOST_TEST(transaction->append("bob/new").value() == 300u);
    BOOST_TEST(transaction->end() == 301u);
    BOOST_TEST(transaction->judge_replacement(300) ==
               make_error_code(StoreError::unknown_number));  // not in its own transaction
    BOOST_TEST(!transaction->judge_replacement(299));
    BOOST_TEST(!transaction->commit());
    BOOST_TEST(read(store, 149) == "ann/149");
    BOOST_TEST(read(store, 150) == "bob/" + std::string(3000, 'x'));
    BOOST_TEST(read(store, 151) == "ann/151");
    BOOST_TEST(read(store, 300) == "bob/new");
    BOOST_TEST(count(store) == 301u);
}

BOOST_AUTO_TEST_CASE(a_transaction_that_is_not_committed_leaves_nothing) {
    const Folder folder;
    Store store(folder / "bb", new_board());
    post(store, "ann/kept");
    {
        auto transaction = Transaction::begin(store);
        BOOST_REQUIRE(transaction);
        BOOST_TEST(transaction->append("ann/lost").value() == 1u);
        BOOST_TEST(transaction->replace(0, "ann/changed").has_value());
    }
    BOOST_TEST(count(store) == 1u);
    BOOST_TEST(read(store, 0) == "ann/kept");
    BOOST_TEST(post(store, "ann/next").value() == 1u);
}

BOOST_AUTO_TEST_CASE(a_snapshot_stays_as_it_is_while_others_write) {
    const Folder folder;
    Store store(folder / "bb", new_board());
    for (int i = 0; i < 100; ++i) post(store, "ann/" + std::to_string(i));
    Reader reader(store);
    const auto before = reader.snapshot();
    BOOST_REQUIRE(before);
    for (int i = 0; i < 100; ++i) {
        auto transaction = Transaction::begin(store);
        BOOST_REQUIRE(transaction);
        BOOST_TEST(transaction->replace(static_cast<unsigned>(i), "bob/changed").has_value());
        BOOST_TEST(!transaction->append("bob/more").has_error());
        BOOST_TEST(!transaction->commit());
    }
    BOOST_TEST(before->end() == 100u);
    for (unsigned i = 0; i < 100; ++i)
        BOOST_REQUIRE(before->read(i).value() == "ann/" + std::to_string(i));
    BOOST_TEST(count(store) == 200u);
    BOOST_TEST(read(store, 50) == "bob/changed");
}

BOOST_AUTO_TEST_CASE(the_file_never_grows_beyond_what_is_stored_when_messages_are_replaced) {
    const Folder folder;
    Store store(folder / "bb", new_board());
    post(store, "ann/" + std::string(3000, 'x'));
    for (int i = 0; i < 50; ++i) post(store, "ann/x");
    const auto replace_all = [&store] {
        for (int i = 0; i < 200; ++i) {
            auto transaction = Transaction::begin(store);
            BOOST_REQUIRE(transaction);
            BOOST_REQUIRE(transaction->replace(0, "ann/" + std::string(3000, 'y')).has_value());
            BOOST_REQUIRE(!transaction->commit());
        }
    };
    replace_all();
    const auto size = std::filesystem::file_size(folder / "bb");
    replace_all();
    BOOST_TEST(std::filesystem::file_size(folder / "bb") == size);
}

BOOST_AUTO_TEST_CASE(the_file_grows_by_much_at_a_time) {
    const Folder folder;
    Store store(folder / "bb", new_board());
    post(store, "ann/first");
    const auto size = std::filesystem::file_size(folder / "bb");
    BOOST_TEST(size > 1u << 20);
    for (int i = 0; i < 100; ++i) post(store, "ann/" + std::string(4000, 'x'));
    BOOST_TEST(std::filesystem::file_size(folder / "bb") == size);
    for (int i = 0; i < 200; ++i) post(store, "ann/" + std::string(4000, 'x'));
    BOOST_TEST(std::filesystem::file_size(folder / "bb") > size + (1u << 19));
}

BOOST_AUTO_TEST_CASE(many_processes_write_at_once_and_every_message_has_its_own_number) {
    const Folder folder;
    { Store store(folder / "bb", new_board()); }
    constexpr int writers = 4;
    constexpr int rounds = 50;
    const auto write = [&folder](int writer) {
        Store store(folder / "bb", {});
        for (int i = 0; i < rounds; ++i) {
            auto transaction = Transaction::begin(store);
            if (!transaction) return 1;
            for (int j = 0; j < 10; ++j)
                if (!transaction->append(fmt::format("w{}/{}", writer, i * 10 + j))) return 2;
            if (transaction->commit()) return 3;
        }
        return 0;
    };
    {
        std::vector<std::unique_ptr<Child>> children;
        for (int i = 0; i < writers; ++i)
            children.push_back(std::make_unique<Child>([&write, i] { return write(i); }));
        for (auto& child : children) BOOST_TEST(child->exit_code() == 0);
    }
    Store store(folder / "bb", {});
    BOOST_TEST(count(store) == std::uint64_t{writers * rounds * 10});
    std::vector<int> next(writers);
    for (std::uint64_t number = 0; number < count(store); ++number) {
        const auto text = read(store, number);
        const auto writer = static_cast<std::size_t>(text.at(1) - '0');
        BOOST_REQUIRE(text == fmt::format("w{}/{}", writer, next.at(writer)++));
    }
}

BOOST_AUTO_TEST_CASE(a_writer_that_dies_in_its_turn_blocks_nobody_and_leaves_nothing) {
    const Folder folder;
    { Store store(folder / "bb", new_board()); }
    Pipe began;
    Child stopped([&] {
        Store store(folder / "bb", {});
        auto transaction = Transaction::begin(store);
        if (!transaction || !transaction->append("ann/never")) return 1;
        if (::write(began.write_end.get(), "x", 1) != 1) return 2;
        ::raise(SIGSTOP);
        return 3;
    });
    char byte = 0;
    BOOST_REQUIRE(::read(began.read_end.get(), &byte, 1) == 1);
    Child waiting([&] {
        Store store(folder / "bb", {});
        return post(store, "bob/after") == 0u ? 0 : 1;
    });
    int status = 0;
    BOOST_REQUIRE(::waitpid(stopped.pid(), &status, WUNTRACED) == stopped.pid());
    BOOST_TEST(WIFSTOPPED(status));
    BOOST_TEST(::waitpid(waiting.pid(), &status, WNOHANG) == 0);  // waits for its turn
    stopped.kill();
    BOOST_TEST(waiting.exit_code() == 0);
    Store store(folder / "bb", {});
    BOOST_TEST(count(store) == 1u);
    BOOST_TEST(read(store, 0) == "bob/after");
}

BOOST_AUTO_TEST_CASE(the_place_of_a_reader_that_died_is_given_back) {
    const Folder folder;
    Store store(folder / "bb", new_board());
    post(store, "ann/text");
    Pipe reads;
    Child child([&] {
        Store own(folder / "bb", {});
        Reader reader(own);
        const auto snapshot = reader.snapshot();
        if (!snapshot || ::write(reads.write_end.get(), "x", 1) != 1) return 1;
        return ::pause();
    });
    char byte = 0;
    BOOST_REQUIRE(::read(reads.read_end.get(), &byte, 1) == 1);
    BOOST_TEST(store.clear_dead_readers() == 0);
    child.kill();
    BOOST_TEST(store.clear_dead_readers() == 1);
    BOOST_TEST(store.clear_dead_readers() == 0);
}

// A killed export held back all pages that were replaced since, and the file grew until somebody
// opened it anew.
BOOST_AUTO_TEST_CASE(a_reader_that_was_killed_does_not_make_the_file_grow) {
    for (const bool is_durable : {true, false}) {
        const Folder folder;
        auto options = new_board();
        options.durable = is_durable;
        Store store(folder / "bb", options);
        const auto replace_often = [&store](int times) {
            for (int i = 0; i < times; ++i) {
                auto transaction = Transaction::begin(store);
                BOOST_REQUIRE(transaction);
                BOOST_REQUIRE(transaction->replace(0, "ann/" + std::string(8000, 'y')).has_value());
                BOOST_REQUIRE(!transaction->commit());
            }
        };
        post(store, "ann/text");
        replace_often(10);
        const auto size = std::filesystem::file_size(folder / "bb");
        Pipe reads;
        Child child([&] {
            Store own(folder / "bb", {});
            Reader reader(own);
            const auto snapshot = reader.snapshot();
            if (!snapshot || ::write(reads.write_end.get(), "x", 1) != 1) return 1;
            return ::pause();
        });
        char byte = 0;
        BOOST_REQUIRE(::read(reads.read_end.get(), &byte, 1) == 1);
        replace_often(5);
        child.kill();
        replace_often(2000);  // 16 MB
        BOOST_TEST(std::filesystem::file_size(folder / "bb") <= size + (is_durable ? 0 : 2 << 20));
    }
}

BOOST_AUTO_TEST_CASE(a_full_map_refuses_what_does_not_fit_and_keeps_the_rest) {
    const Folder folder;
    auto options = new_board();
    options.map_size = 1 << 20;
    Store store(folder / "bb", options);
    const std::string text = "ann/" + std::string(1000, 'x');
    std::uint64_t stored = 0;
    while (post(store, text)) ++stored;
    BOOST_TEST(stored > 500u);
    BOOST_TEST(count(store) == stored);
    BOOST_TEST(read(store, stored - 1) == text);
    BOOST_TEST(!store.failure());
    auto transaction = Transaction::begin(store);
    BOOST_REQUIRE(transaction);
    auto number = transaction->append(text);
    while (number) number = transaction->append(text);
    BOOST_TEST(number.error().message() == "the board is as large as it can become (MDB_MAP_FULL)");
}

BOOST_AUTO_TEST_CASE(where_address_space_is_short_a_smaller_map_does) {
    const Folder folder;
    Child child([&] {
        const rlimit limit{.rlim_cur = 3ul << 30, .rlim_max = 3ul << 30};
        if (::setrlimit(RLIMIT_AS, &limit) != 0) return 1;
        Store store(folder / "bb", new_board());
        return post(store, "ann/text") == 0u && read(store, 0) == "ann/text" ? 0 : 2;
    });
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    BOOST_TEST(child.exit_code() == 0);
#else
    BOOST_TEST_MESSAGE("skipped: sanitizers need address space themselves");
#endif
}

BOOST_AUTO_TEST_CASE(a_board_of_other_processes_stays_open_while_one_opens_and_closes_it) {
    const Folder folder;
    Store store(folder / "bb", new_board());
    std::vector<std::unique_ptr<Child>> children;
    for (int i = 0; i < 4; ++i)
        children.push_back(std::make_unique<Child>([&folder] {
            for (int round = 0; round < 20; ++round) {
                Store own(folder / "bb", {});
                if (!post(own, "own/text")) return 1;
            }
            return 0;
        }));
    for (int i = 0; i < 40; ++i) BOOST_REQUIRE(post(store, "ann/text"));
    for (auto& child : children) BOOST_TEST(child->exit_code() == 0);
    BOOST_TEST(count(store) == 120u);
}

BOOST_AUTO_TEST_SUITE_END()
