#include "master/upgrade_state.hpp"

#include <boost/test/unit_test.hpp>
#include <functional>

#include "tests/unit/upgrade_state_example.hpp"

using namespace preforkd;
using namespace preforkd::master;
using preforkd::master::test::example_state;

namespace {

/// Why `bytes` are refused; empty: they are not.
std::string refusal(std::string_view bytes) {
    try {
        (void)decode(bytes);
    } catch (const BadArchive& error) {
        return error.what();
    }
    return "";
}

/// Why the example is refused when this is done to it.
std::string refusal_of(const std::function<void(UpgradeState&)>& spoil) {
    UpgradeState state = example_state();
    spoil(state);
    return refusal(encode(state));
}

// ---- As a program of another version would describe what it knows ----

struct Older {
    std::uint64_t same = 0;
    std::string gone = "old";
};
struct Newer {
    std::string added = "default";
    std::uint64_t same = 0;
};
template <class Archive>
void describe(Archive& archive, Older& older) {
    archive("same", older.same);
    archive("gone", older.gone);
}
template <class Archive>
void describe(Archive& archive, Newer& newer) {
    archive("added", newer.added);
    archive("same", newer.same);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(upgrade_state)

BOOST_AUTO_TEST_CASE(what_is_written_is_read_back) {
    const UpgradeState written = example_state();
    const UpgradeState read = decode(encode(written));
    BOOST_TEST(encode(read) == encode(written));
    BOOST_TEST(read.version == "1.2.3");
    BOOST_TEST(read.start.arguments == written.start.arguments);
    BOOST_TEST(read.start.environment == written.start.environment);
    BOOST_TEST(!read.start.foreground);
    BOOST_TEST((read.watchdog == written.watchdog));
    BOOST_TEST((read.supervisor.policy == written.supervisor.policy));
    BOOST_TEST(read.supervisor.reload_wanted);
    const Worker& resting = read.supervisor.workers.at(1);
    BOOST_TEST(to_string(resting.state) == "resting");
    BOOST_TEST((resting.deadline == written.supervisor.workers.at(1).deadline));
    BOOST_TEST((resting.spawned_at == written.supervisor.workers.at(1).spawned_at));
    BOOST_TEST(!read.supervisor.workers.at(0).deadline.has_value());
    const SavedGroup& group = read.deployment.listeners.groups.at(0);
    BOOST_TEST(group.options.backlog == 511U);
    BOOST_TEST(group.members == (std::vector<Member>{4, 0}), boost::test_tools::per_element());
    BOOST_TEST(group.sockets.at(0).address == std::string("\x02\0\0\x50", 4));
    BOOST_TEST(group.sockets.at(0).inode == 1ul << 40);
    BOOST_TEST(group.sockets.at(1).adopted);
    BOOST_TEST(read.workers.at(0).places.at(0).kept);
    BOOST_TEST(!read.workers.at(0).places.at(1).group.has_value());
    BOOST_TEST((read.deployment.logs.error_style == LogStyle::journal));
    BOOST_TEST(!read.deployment.logs.access.exists());
    BOOST_TEST(read.workers.at(0).channel.number == 28);
    BOOST_TEST((read.workers.at(0).doom == ExitKind::hung));
}

BOOST_AUTO_TEST_CASE(every_descriptor_is_found_once) {
    const std::vector<int> expected{20, 21, 22, 23, 29, 24, 33, 25, 26, 27, 28, 30, 31};
    BOOST_TEST(example_state().descriptors() == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_state_cut_short_anywhere_is_refused) {
    const std::string whole = encode(example_state());
    for (std::size_t size = 0; size < whole.size(); ++size)
        BOOST_TEST(!refusal(whole.substr(0, size)).empty(), "cut to " << size);
    BOOST_TEST(refusal(whole + "x") == "the state is damaged");
}

BOOST_AUTO_TEST_CASE(a_state_with_any_bit_turned_is_refused) {
    std::string bytes = encode(example_state());
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
        BOOST_TEST(!refusal(bytes).empty(), "bit " << bit);
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    }
}

BOOST_AUTO_TEST_CASE(another_version_is_named_and_refused) {
    std::string bytes = encode(example_state());
    bytes[std::string_view("preforkd upgrade state\n").size()] = 9;
    BOOST_TEST(
        refusal(bytes) ==
        "the new program can't take over from the running one, whose state is of version 9, not 1; "
        "restart the server for this upgrade");
    BOOST_TEST(refusal("#!/bin/sh\n") == "this is no state of a master");
}

BOOST_AUTO_TEST_CASE(parts_that_do_not_fit_together_are_refused) {
    BOOST_TEST(refusal_of([](auto& s) { s.lock = {}; }) == "the lock is lost");
    BOOST_TEST(refusal_of([](auto& s) { s.notifier = s.lock; }) == "a descriptor has two owners");
    BOOST_TEST(refusal_of([](auto& s) { s.workers.clear(); }) == "a process is unknown");
    BOOST_TEST(refusal_of([](auto& s) { s.supervisor.workers.clear(); }) ==
               "a process is not supervised");
    BOOST_TEST(refusal_of([](auto& s) { s.workers.push_back(s.workers.front()); }) ==
               "a worker is there twice");
    BOOST_TEST(refusal_of([](auto& s) { s.pools.clear(); }) == "a worker is of no pool");
    BOOST_TEST(refusal_of([](auto& s) { s.workers.front().channel = {}; }) ==
               "a worker can't be reached");
    BOOST_TEST(refusal_of([](auto& s) { s.deployment.logs.error = {}; }) == "a log is lost");
    const auto with_listeners = [](auto spoil) {
        return [spoil](UpgradeState& s) { spoil(s.deployment.listeners); };
    };
    BOOST_TEST(refusal_of(with_listeners([](auto& l) { l.groups[0].sockets[0].socket = {}; })) ==
               "a listener is lost");
    BOOST_TEST(refusal_of(with_listeners([](auto& l) { l.groups[0].members[0] = 0; })) ==
               "a slot has two sockets");
    BOOST_TEST(refusal_of(with_listeners([](auto& l) { l.groups[0].attached = {2}; })) ==
               "clients are steered nowhere");
    BOOST_TEST(refusal_of(with_listeners([](auto& l) { l.entries[0].group = 1; })) ==
               "a listener has no socket of its own");
    BOOST_TEST(refusal_of([](auto& s) { s.workers.front().places[0].group = 1; }) ==
               "a worker has an unknown socket");
    BOOST_TEST(refusal_of([](auto& s) { s.supervisor.last_raised = Generation{1}; }) ==
               "generations are lost");
    const auto with_state = [](WorkerState state) {
        return [state](UpgradeState& s) { s.supervisor.workers.front().state = state; };
    };
    BOOST_TEST(refusal_of(with_state(WorkerState::spawning)) == "a spawn is unanswered");
    BOOST_TEST(refusal_of(with_state(WorkerState::gone)) == "a spawn is unanswered");
    BOOST_TEST(refusal_of(with_state(WorkerState::resting)) == "a resting worker lives");
}

BOOST_AUTO_TEST_CASE(programs_that_know_different_fields_understand_each_other) {
    Older older{.same = 5};
    Newer newer;
    ArchiveReader::read(ArchiveWriter::write(older), "state", newer);
    BOOST_TEST(newer.same == 5U);
    BOOST_TEST(newer.added == "default");
    newer.same = 6;
    ArchiveReader::read(ArchiveWriter::write(newer), "state", older);
    BOOST_TEST(older.same == 6U);
    BOOST_TEST(older.gone == "old");
}

BOOST_AUTO_TEST_CASE(numbers_that_do_not_fit_are_refused_by_name) {
    std::uint64_t big = 1u << 16;
    std::uint8_t small = 0;
    bool flag = false;
    const std::string bytes = ArchiveWriter::write(big);
    const auto says = [](const std::string& text) {
        return [text](const BadArchive& error) { return error.what() == text; };
    };
    BOOST_CHECK_EXCEPTION(ArchiveReader::read(bytes, "small", small), BadArchive,
                          says("field 'small' is out of range"));
    BOOST_CHECK_EXCEPTION(ArchiveReader::read(bytes, "flag", flag), BadArchive,
                          says("field 'flag' is out of range"));
    BOOST_CHECK_EXCEPTION(ArchiveReader::read(bytes + "x", "big", big), BadArchive,
                          says("field 'big' is too long"));
    int negative = -5, back = 0;
    ArchiveReader::read(ArchiveWriter::write(negative), "negative", back);
    BOOST_TEST(back == -5);
}

BOOST_AUTO_TEST_SUITE_END()
