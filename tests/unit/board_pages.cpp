#include "worker/services/board_pages.hpp"

#include <fmt/format.h>
#include <lmdb.h>
#include <sys/mman.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "board_fixture.hpp"
#include "worker/services/board_transfer.hpp"

// Files that are cut, foreign, or have flipped bits: each is refused with a word, or serves what is
// right and says what is damaged; never a wrong text, never a crash. What is served can be of an
// earlier time where a page's number, or a page, is; then the examination of the file tells.

using namespace board_test;

namespace {

std::string text_of(std::uint64_t number, char version = 'x') {
    // Long ones lie on pages of their own.
    return fmt::format("poster{}/{}", number % 7,
                       std::string(number % 5 == 0 ? 2500 : 40, version)) +
           std::to_string(number);
}

void replace(Store& store, std::uint64_t number, const std::string& text) {
    auto transaction = Transaction::begin(store);
    BOOST_REQUIRE(transaction);
    BOOST_REQUIRE(transaction->replace(number, text).has_value());
    BOOST_REQUIRE(!transaction->commit());
}

/// A board with three kinds of page in its tree and some on its list of free ones. Its messages had
/// other texts before, and its last commit is such a change.
std::string small_board(const Folder& folder, std::uint64_t messages, char version = 'x') {
    {
        Store store(folder / "origin", new_board());
        for (std::uint64_t i = 0; i < messages; i += 10) {
            auto transaction = Transaction::begin(store);
            BOOST_REQUIRE(transaction);
            for (std::uint64_t j = i; j < i + 10; ++j)
                BOOST_REQUIRE(transaction->append(text_of(j, 'a')).has_value());
            BOOST_REQUIRE(!transaction->commit());
        }
        for (std::uint64_t i = messages; i-- > 0;) replace(store, i, text_of(i, version));
    }
    return pages_of(folder / "origin");
}

/// What became of a board whose file was changed behind its back.
enum class Verdict { refused, whole, damaged, old, wrong, crashed };
constexpr int verdicts = 6;

std::ostream& operator<<(std::ostream& out, Verdict verdict) {
    static const char* const names[] = {"refused",      "whole", "damaged",
                                        "old but told", "wrong", "crashed"};
    return out << names[static_cast<int>(verdict)];
}

bool is_told_by_examination(const std::string& path) {
    try {
        return check_board(
                   path, [](auto, auto) {}, [](auto&) {})
                   .faults > 0;
    } catch (const StartupError&) {
        return true;
    }
}

Verdict judge(const std::string& path, std::uint64_t messages) {
    const bool is_told = is_told_by_examination(path);
    std::optional<Store> opened;
    try {
        opened.emplace(path, StoreOptions());
    } catch (const StartupError& error) {
        return std::string(error.what()).starts_with(path) ? Verdict::refused : Verdict::wrong;
    }
    Store& store = *opened;
    auto verdict = Verdict::whole;
    {
        Reader reader(store);
        const auto snapshot = reader.snapshot();
        if (!snapshot) return Verdict::damaged;
        for (std::uint64_t number = 0; number < messages; ++number) {
            const auto text = snapshot->read(number);
            if (!text && text.error() != StoreError::damaged) return Verdict::wrong;
            if (!text) verdict = Verdict::damaged;
            if (text && *text != text_of(number)) return is_told ? Verdict::old : Verdict::wrong;
        }
        if (snapshot->end() != messages) return is_told ? Verdict::old : Verdict::wrong;
    }
    if (verdict == Verdict::damaged && !is_told) return Verdict::wrong;
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
    for (int i = 0; i < verdicts; ++i) counts[static_cast<Verdict>(i)] = shared[1 + i];
    ::munmap(shared, 4096);
    return counts;
}

struct Flip {
    std::size_t offset;
    int bits;
};

/// Bits to flip: in the metas and the head of the newest tree's root each that could matter,
/// elsewhere some.
std::vector<Flip> flips_of(const std::string& path, const std::string& bytes) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const auto root = read_header(file.get())->newest().messages.root;
    std::vector<Flip> flips;
    std::size_t near = 0;  // a byte that is far from any that isn't zero is unused
    std::size_t seen = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (bytes[i] != 0) near = i + 9;
        if (i >= near) continue;
        if (i < 2 * 4096 || (i / 4096 == root && i % 4096 < 256))
            for (const int bits : {1 << (i % 8), 2, 14}) flips.push_back({i, bits});
        else if (++seen % 101 == 0)
            flips.push_back({i, 1 << (i % 8)});
    }
    return flips;
}

void print(const std::map<Verdict, std::size_t>& counts) {
    for (const auto& [verdict, times] : counts) BOOST_TEST_MESSAGE(verdict << ": " << times);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(board_pages)

BOOST_AUTO_TEST_CASE(a_flipped_bit_is_never_served_as_a_message_and_never_crashes) {
    const Folder folder;
    const auto bytes = small_board(folder, 60);
    const auto flips = flips_of(folder / "origin", bytes);
    const auto counts = judge_all(folder, flips.size(), 60, [&](std::size_t i) {
        auto flipped = bytes;
        char& byte = flipped[flips[i].offset];
        byte = static_cast<char>(byte ^ flips[i].bits);
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
    const auto old = small_board(folder, 60, 'b');
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

BOOST_AUTO_TEST_CASE(a_page_number_that_leads_to_an_earlier_page_is_found_by_an_examination) {
    const Folder folder;
    const auto bytes = small_board(folder, 150);
    const UniqueFd file(::open((folder / "origin").c_str(), O_RDONLY | O_CLOEXEC));
    const auto root = read_header(file.get())->newest().messages.root * 4096;
    const auto number_at = [&bytes](std::size_t at) {
        std::uint16_t number = 0;
        std::memcpy(&number, bytes.data() + at, sizeof number);
        return number;
    };
    const std::size_t children = (number_at(root + 12) - 16u) / 2;
    const std::size_t pages = bytes.size() / 4096;
    const auto counts = judge_all(folder, children * pages, 150, [&](std::size_t i) {
        auto changed = bytes;
        const auto other = static_cast<std::uint16_t>(i % pages);
        std::memcpy(changed.data() + root + number_at(root + 16 + 2 * (i / pages)), &other, 2);
        return changed;
    });
    print(counts);
    BOOST_TEST(counts.at(Verdict::wrong) == 0u);
    BOOST_TEST(counts.at(Verdict::crashed) == 0u);
    BOOST_TEST(counts.at(Verdict::old) > 0u);
    BOOST_TEST(counts.at(Verdict::whole) == children);
}

BOOST_AUTO_TEST_CASE(the_last_commit_does_not_get_lost_unseen) {
    // One flipped bit in the newest meta's number, or a lost write of its page, made LMDB take the
    // one before: the last message was gone, its number given again, and the board called sound.
    const Folder folder;
    {
        Store store(folder / "bb", new_board());
        for (int i = 0; i < 5; ++i) post(store, "ann/" + std::to_string(i));
    }
    const auto before = pages_of(folder / "bb");
    {
        Store store(folder / "bb", {});
        post(store, "ann/last");
    }
    const auto after = pages_of(folder / "bb");
    const UniqueFd file(::open((folder / "bb").c_str(), O_RDONLY | O_CLOEXEC));
    const auto newest = read_header(file.get())->newest().transaction;
    const auto page = meta_of(newest) * 4096;
    auto flipped = after;
    flipped[page + 144] = static_cast<char>(newest - 2);
    for (const auto& bytes :
         {flipped, std::string(after).replace(page, 4096, before, page, 4096)}) {
        overwrite(folder / "bb", bytes);
        const auto expected = fmt::format(
            "{}: it has lost what was on the disk: page {} should say that {} "
            "transactions were written, and says {}; restore it from a backup, or "
            "'preforkctl board export' what is left of it, ",
            folder / "bb", meta_of(newest), newest, newest - 2);
        BOOST_TEST(refusal(folder / "bb").starts_with(expected), refusal(folder / "bb"));
        BOOST_TEST(is_told_by_examination(folder / "bb"));
        BOOST_TEST(contents(folder / "bb") == bytes);
    }
    overwrite(folder / "bb", after);
    BOOST_TEST(refusal(folder / "bb") == "");
}

BOOST_AUTO_TEST_CASE(a_meta_that_claims_to_be_newer_than_it_is_is_refused) {
    const Folder folder;
    {
        Store store(folder / "bb", new_board());
        for (int i = 0; i < 5; ++i) post(store, "ann/" + std::to_string(i));
    }
    auto bytes = pages_of(folder / "bb");
    const UniqueFd file(::open((folder / "bb").c_str(), O_RDONLY | O_CLOEXEC));
    const auto newest = read_header(file.get())->newest().transaction;
    bytes[meta_of(newest - 1) * 4096 + 144] = static_cast<char>(newest + 1);
    overwrite(folder / "bb", bytes);
    BOOST_TEST(refusal(folder / "bb")
                   .find(fmt::format("claims that {} transactions were written, but lists {}",
                                     newest + 1, newest - 1)) != std::string::npos);
    BOOST_TEST(is_told_by_examination(folder / "bb"));
}

BOOST_AUTO_TEST_CASE(what_was_written_without_durability_may_get_lost_without_an_alarm) {
    const Folder folder;
    const auto write = [&folder](bool durable) {
        StoreOptions options;
        options.create = true;
        options.durable = durable;
        Store store(folder / "bb", options);
        for (int i = 0; i < 5; ++i) post(store, "ann/" + std::to_string(i));
        return pages_of(folder / "bb");
    };
    const auto durable = write(true);
    const auto written = write(false);
    // The loss of power took either or both of the new metas.
    for (const std::size_t size : {4096u, 8192u})
        for (const std::size_t page : {0u, 4096u}) {
            overwrite(folder / "bb", std::string(written).replace(page, size, durable, page, size));
            BOOST_TEST(refusal(folder / "bb").find("has lost") == std::string::npos);
        }
    overwrite(folder / "bb", durable);
    BOOST_TEST(refusal(folder / "bb") == "");
}

BOOST_AUTO_TEST_CASE(a_sound_board_accounts_for_every_page_whatever_was_written) {
    const Folder folder;
    std::mt19937 random(1);  // NOLINT: the same each time
    const auto below = [&random](unsigned end) { return static_cast<unsigned>(random() % end); };
    const auto text = [&below] {
        return "ann/" + std::string(below(4) ? below(99) : below(20'000), 'x');
    };
    {
        Store store(folder / "bb", new_board());
        for (int i = 0; i < 300; ++i) {
            Reader reader(store);
            const auto holds_pages_back = reader.snapshot();
            for (int j = 0; j < 4; ++j) {
                auto transaction = Transaction::begin(store);
                BOOST_REQUIRE(transaction);
                const auto end = holds_pages_back->end();
                std::set<unsigned> replaced;
                unsigned appended = 0;
                for (unsigned k = below(1 + below(60)); k-- > 0;)
                    if (const auto number = below(static_cast<unsigned>(end) + 1);
                        below(3) == 0 || number == end)
                        ++appended;
                    else
                        replaced.insert(number);
                for (const unsigned number : replaced)
                    BOOST_REQUIRE(transaction->replace(number, text()).has_value());
                for (; appended > 0; --appended)
                    BOOST_REQUIRE(transaction->append(text()).has_value());
                if (below(8) > 0) BOOST_REQUIRE(!transaction->commit());
            }
        }
    }
    std::string faults;
    const auto result = check_board(
        folder / "bb", [](auto, auto) {},
        [&faults](const std::string& fault) { faults += fault + "\n"; });
    BOOST_TEST(faults == "");
    BOOST_TEST(result.messages > 1000u);
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
