#include "worker/services/board_pages.hpp"

#include <fmt/format.h>
#include <lmdb.h>
#include <sys/mman.h>

#include <boost/test/unit_test.hpp>
#include <map>

#include "board_fixture.hpp"

// Files that are cut, foreign, or have flipped bits: each is refused with a word, or serves what is
// right and says what is damaged; never a wrong text, never a crash.

using namespace board_test;

namespace {

std::string text_of(std::uint64_t number) {
    // Long ones lie on pages of their own.
    return fmt::format("poster{}/{}", number % 7, std::string(number % 5 == 0 ? 2500 : 40, 'x')) +
           std::to_string(number);
}

/// A board with three kinds of page in its tree and some on its list of free ones.
std::string small_board(const Folder& folder, std::uint64_t messages) {
    {
        Store store(folder / "origin", new_board());
        for (std::uint64_t i = 0; i < messages; i += 10) {
            auto transaction = Transaction::begin(store);
            BOOST_REQUIRE(transaction);
            for (std::uint64_t j = i; j < i + 10; ++j)
                BOOST_REQUIRE(transaction->append(text_of(j)).has_value());
            BOOST_REQUIRE(!transaction->commit());
        }
        auto transaction = Transaction::begin(store);
        BOOST_REQUIRE(transaction);
        BOOST_REQUIRE(transaction->replace(0, text_of(0)).has_value());
        BOOST_REQUIRE(!transaction->commit());
    }
    return pages_of(folder / "origin");
}

/// What became of a board whose file was changed behind its back.
enum class Verdict { refused, whole, damaged, wrong, crashed };

std::ostream& operator<<(std::ostream& out, Verdict verdict) {
    static const char* const names[] = {"refused", "whole", "damaged", "wrong", "crashed"};
    return out << names[static_cast<int>(verdict)];
}

Verdict judge(const std::string& path, std::uint64_t messages) {
    const std::string reason = refusal(path);
    if (!reason.empty()) return reason.starts_with(path) ? Verdict::refused : Verdict::wrong;
    Store store(path, {});
    auto verdict = Verdict::whole;
    {
        Reader reader(store);
        const auto snapshot = reader.snapshot();
        if (!snapshot) return Verdict::damaged;
        for (std::uint64_t number = 0; number < messages; ++number) {
            const auto text = snapshot->read(number);
            if (!text && text.error() != StoreError::damaged) return Verdict::wrong;
            if (!text) verdict = Verdict::damaged;
            if (text && *text != text_of(number)) return Verdict::wrong;
        }
    }
    // Writing on must not make it worse.
    const auto number = post(store, "late/message");
    if (number && (*number != messages || read(store, *number) != "late/message"))
        return Verdict::wrong;
    return verdict;
}

/// Judges `variants` of a file in another process, for it may crash; `vary(i)` gives the bytes.
std::map<Verdict, std::size_t> judge_all(const Folder& folder, std::size_t variants,
                                         std::uint64_t messages,
                                         const std::function<std::string(std::size_t)>& vary) {
    auto* const shared = static_cast<std::size_t*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    BOOST_REQUIRE(shared != MAP_FAILED);
    std::size_t& next = shared[0];
    const auto path = folder / "variant";
    while (next < variants) {
        Child child([&] {
            while (next < variants) {
                overwrite(path, vary(next));
                std::filesystem::remove(path + "-lock");
                const auto verdict = judge(path, messages);
                if (verdict == Verdict::wrong) dprintf(2, "variant %zu is served wrong\n", next);
                ++shared[1 + static_cast<int>(verdict)];
                ++next;
            }
            return 0;
        });
        if (const int code = child.exit_code(); code != 0) {
            dprintf(2, "variant %zu: exit code %d\n", next, code);
            ++shared[1 + static_cast<int>(Verdict::crashed)];
            ++next;
        }
    }
    std::map<Verdict, std::size_t> counts;
    for (int i = 0; i < 5; ++i) counts[static_cast<Verdict>(i)] = shared[1 + i];
    ::munmap(shared, 4096);
    return counts;
}

/// Offsets to flip a bit at: of the header each that could matter, elsewhere some.
std::vector<std::size_t> offsets_to_flip(const std::string& bytes) {
    std::vector<std::size_t> offsets;
    std::size_t near = 0;  // a byte that is far from any that isn't zero is unused
    std::size_t seen = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (bytes[i] != 0) near = i + 9;
        if (i < near && (i < 2 * 4096 || ++seen % 29 == 0)) offsets.push_back(i);
    }
    return offsets;
}

void print(const std::map<Verdict, std::size_t>& counts) {
    for (const auto& [verdict, times] : counts) BOOST_TEST_MESSAGE(verdict << ": " << times);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(board_pages)

BOOST_AUTO_TEST_CASE(a_flipped_bit_is_never_served_as_a_message_and_never_crashes) {
    const Folder folder;
    const auto bytes = small_board(folder, 60);
    const auto offsets = offsets_to_flip(bytes);
    const auto counts = judge_all(folder, offsets.size(), 60, [&](std::size_t i) {
        auto flipped = bytes;
        flipped[offsets[i]] = static_cast<char>(flipped[offsets[i]] ^ (1 << (i % 8)));
        return flipped;
    });
    print(counts);
    BOOST_TEST(counts.at(Verdict::wrong) == 0u);
    BOOST_TEST(counts.at(Verdict::crashed) == 0u);
    BOOST_TEST(counts.at(Verdict::damaged) > 500u);
    BOOST_TEST(counts.at(Verdict::refused) > 100u);
}

BOOST_AUTO_TEST_CASE(a_cut_file_is_refused) {
    const Folder folder;
    const auto bytes = small_board(folder, 60);
    const auto counts = judge_all(folder, bytes.size() / 512, 60,
                                  [&](std::size_t i) { return bytes.substr(0, 512 * i + 17); });
    print(counts);
    BOOST_TEST(counts.at(Verdict::refused) == bytes.size() / 512);
}

BOOST_AUTO_TEST_CASE(a_file_with_holes_says_what_is_lost) {
    const Folder folder;
    const auto bytes = small_board(folder, 60);
    const auto counts = judge_all(folder, bytes.size() / 4096, 60, [&](std::size_t i) {
        return std::string(bytes).replace(4096 * i, 4096, 4096, '\0');
    });
    print(counts);
    BOOST_TEST(counts.at(Verdict::wrong) == 0u);
    BOOST_TEST(counts.at(Verdict::crashed) == 0u);
    BOOST_TEST(counts.at(Verdict::refused) >= 2u);
    BOOST_TEST(counts.at(Verdict::damaged) > 10u);
}

BOOST_AUTO_TEST_CASE(pages_of_an_earlier_time_are_never_served_as_todays) {
    // A disk that lost one write of many: the page is good, but of an older state.
    const Folder folder;
    const auto old = small_board(folder, 60);
    {
        Store store(folder / "origin", {});
        for (std::uint64_t i = 0; i < 60; ++i) {
            auto transaction = Transaction::begin(store);
            BOOST_REQUIRE(transaction && transaction->replace(i, text_of(i)).has_value());
            BOOST_REQUIRE(transaction->append(text_of(60 + i)).has_value());
            BOOST_REQUIRE(!transaction->commit());
        }
    }
    const auto today = contents(folder / "origin");
    const auto counts = judge_all(folder, old.size() / 4096, 120, [&](std::size_t i) {
        return std::string(today).replace(4096 * i, 4096, old, 4096 * i, 4096);
    });
    print(counts);
    BOOST_TEST(counts.at(Verdict::wrong) == 0u);
    BOOST_TEST(counts.at(Verdict::crashed) == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_no_board_is_refused_and_left_alone) {
    const Folder folder;
    for (const std::string& bytes : {std::string("x"), std::string("some text\n"),
                                     std::string(100000, 'x'), std::string(100000, '\0')}) {
        overwrite(folder / "file", bytes);
        BOOST_TEST(
            refusal(folder / "file", new_board()).starts_with((folder / "file") + ": it is"));
        BOOST_TEST(contents(folder / "file") == bytes);
    }
    BOOST_TEST(refusal(folder.path()).find("Is a directory") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(another_programs_lmdb_file_is_refused) {
    const Folder folder;
    MDB_env* environment = nullptr;
    MDB_txn* transaction = nullptr;
    MDB_dbi tree = 0;
    char word[] = "word";
    MDB_val value{.mv_size = 4, .mv_data = word};
    BOOST_REQUIRE(::mdb_env_create(&environment) == 0);
    BOOST_REQUIRE(::mdb_env_open(environment, (folder / "other").c_str(), MDB_NOSUBDIR, 0600) == 0);
    BOOST_REQUIRE(::mdb_txn_begin(environment, nullptr, 0, &transaction) == 0);
    BOOST_REQUIRE(::mdb_dbi_open(transaction, nullptr, 0, &tree) == 0);
    BOOST_REQUIRE(::mdb_put(transaction, tree, &value, &value, 0) == 0);
    BOOST_REQUIRE(::mdb_txn_commit(transaction) == 0);
    ::mdb_env_close(environment);
    BOOST_TEST(refusal(folder / "other").find("holds something else") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_emptied_board_is_not_taken_for_a_new_one) {
    const Folder folder;
    {
        Store store(folder / "bb", new_board());
        post(store, "ann/text");
    }
    overwrite(folder / "bb", "");
    BOOST_TEST(refusal(folder / "bb", new_board()).find("it is empty, but was a bulletin board") !=
               std::string::npos);
    std::filesystem::remove(folder / "bb-lock");
    BOOST_TEST(refusal(folder / "bb", new_board()) == "");
}

BOOST_AUTO_TEST_CASE(a_board_whose_creator_died_half_way_is_made_anew) {
    const Folder folder;
    { Store store(folder / "bb", new_board()); }
    std::filesystem::remove(folder / "bb-lock");
    std::filesystem::resize_file(folder / "bb", 4096);
    Store store(folder / "bb", {});
    BOOST_TEST(post(store, "ann/text").value() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
