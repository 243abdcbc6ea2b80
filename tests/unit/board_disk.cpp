#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fstream>

#include "board_fixture.hpp"
#include "worker/services/board_links.hpp"
#include "worker/services/board_transfer.hpp"
#include "worker/services/board_writer.hpp"

// What the board does when the disk is full, fails, or can only be read. The disk is this file's:
// write and sync of LMDB and of the store come by here.

using namespace board_test;

namespace {

struct Disk {
    int write_error = 0;        // what the next write fails with
    int sync_error = 0;         // what the next syncs fail with ...
    int sync_failures = 0;      // ... so many times
    int syncs_before = 0;       // after so many that work
    bool is_short = false;      // the next write writes half
    bool is_meta_only = false;  // failures are of writes to one of the first two pages
    std::string journal;        // w: a page, m: a meta page, s: a sync
    int tell_syncs = -1;        // gets a byte for each sync
};
Disk disk;

constexpr off_t metas_end = 2 * 4096;

// Returns whether the write fails; `size` is what becomes of a short one.
bool note_write(off_t offset, std::size_t& size) {
    const bool is_meta = offset < metas_end;
    disk.journal += is_meta ? 'm' : 'w';
    if (disk.is_meta_only && !is_meta) return false;
    if (std::exchange(disk.is_short, false)) size /= 2;
    errno = std::exchange(disk.write_error, 0);
    return errno != 0;
}

}  // namespace

extern "C" ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t offset) {
    if (note_write(offset, size)) return -1;
    return ::syscall(SYS_pwrite64, fd, bytes, size, offset);
}

extern "C" ssize_t writev(int fd, const iovec* pieces, int count) {
    const off_t offset = ::lseek(fd, 0, SEEK_CUR);
    std::size_t size = 2;
    if (offset >= 0 && note_write(offset, size)) return -1;
    return ::syscall(SYS_writev, fd, pieces, size == 1 ? count / 2 : count);
}

extern "C" int fdatasync(int fd) {
    disk.journal += 's';
    if (disk.tell_syncs >= 0) static_cast<void>(::write(disk.tell_syncs, "s", 1));
    if (disk.sync_failures > 0 && disk.syncs_before-- <= 0) {
        --disk.sync_failures;
        errno = disk.sync_error;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

namespace {

struct Board {
    Board() {
        for (int i = 0; i < 20; ++i) BOOST_REQUIRE(post(store, "ann/" + std::to_string(i)));
        disk = {};
    }
    ~Board() { disk = {}; }

    error_code write_one(Writer& writer) {
        bool is_done = false;
        const auto job = std::make_shared<WriteJob>();
        job->requests.emplace_back().text = "bob/text";
        job->on_done = [&is_done] { is_done = true; };
        writer.submit(job);
        while (!is_done) {
            pollfd readable{.fd = writer.descriptor(), .events = POLLIN, .revents = 0};
            BOOST_REQUIRE(::poll(&readable, 1, 10'000) == 1);
            writer.deliver();
        }
        return job->requests[0].error;
    }

    Folder folder;
    Store store{folder / "bb", new_board()};
    Pipe log;
    Logger log_lines{log.write_end.get(), LogStyle::plain, LogLevel::info, "test"};
    Report logger = report_to(log_lines);
};

error_code try_to_post(Store& store, const std::string& text) {
    auto transaction = Transaction::begin(store);
    if (!transaction) return transaction.error();
    const auto number = transaction->append(text);
    return number ? transaction->commit() : number.error();
}

constexpr uid_t nobody = 65534;

bool become_nobody() {
    return ::geteuid() != 0 ||
           (::setresgid(nobody, nobody, nobody) == 0 && ::setresuid(nobody, nobody, nobody) == 0);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(board_disk, Board)

BOOST_AUTO_TEST_CASE(a_commit_returns_after_messages_and_then_the_meta_have_reached_the_disk) {
    BOOST_REQUIRE(post(store, "bob/text"));
    const auto first_sync = disk.journal.find('s');
    BOOST_TEST(disk.journal.substr(first_sync) == "smsm");  // and then the mark of it
    BOOST_TEST(disk.journal.substr(0, first_sync).find_first_not_of('w') == std::string::npos);
    BOOST_TEST(first_sync > 0u);
}

BOOST_AUTO_TEST_CASE(without_durability_nothing_waits_for_the_disk_but_sync) {
    const Folder other;
    auto options = new_board();
    options.durable = false;
    Store lazy(other / "bb", options);
    disk.journal.clear();
    BOOST_REQUIRE(post(lazy, "bob/text"));
    BOOST_TEST(disk.journal.find('s') == std::string::npos);
    BOOST_TEST(disk.journal.back() == 'm');
    BOOST_TEST(disk.journal.find('m') == disk.journal.size() - 1);  // no mark that could be wrong
    BOOST_TEST(!lazy.sync());
    BOOST_TEST(disk.journal.back() == 's');
}

BOOST_AUTO_TEST_CASE(the_mark_of_the_last_commit_is_synced_when_the_board_is_closed) {
    const Folder other;
    {
        Store own(other / "bb", new_board());
        BOOST_REQUIRE(post(own, "bob/text"));
        BOOST_TEST(disk.journal.back() == 'm');
    }
    BOOST_TEST(disk.journal.back() == 's');
}

BOOST_AUTO_TEST_CASE(a_full_disk_refuses_one_message_and_takes_the_next_when_there_is_room) {
    disk.write_error = ENOSPC;
    BOOST_TEST(try_to_post(store, "bob/none").value() == ENOSPC);
    BOOST_TEST(count(store) == 20u);
    BOOST_TEST(read(store, 19) == "ann/19");
    BOOST_TEST(post(store, "bob/text").value() == 20u);
    BOOST_TEST(read(store, 20) == "bob/text");
}

BOOST_AUTO_TEST_CASE(without_room_on_the_disk_the_file_grows_only_as_it_must) {
    const Folder other;
    Store small(other / "bb", new_board());
    disk.write_error = ENOSPC;  // the first write is the room
    BOOST_TEST(post(small, "ann/text").value() == 0u);
    BOOST_TEST(std::filesystem::file_size(other / "bb") < 10u * 4096);
}

BOOST_AUTO_TEST_CASE(a_write_that_was_cut_short_refuses_one_message_only) {
    disk.is_short = true;
    BOOST_TEST(try_to_post(store, "bob/none").value() == EIO);
    BOOST_TEST(!store.failure());
    BOOST_TEST(count(store) == 20u);
    BOOST_TEST(post(store, "bob/text").value() == 20u);
}

BOOST_AUTO_TEST_CASE(after_a_failed_sync_nothing_is_written_and_everything_can_be_read) {
    disk.sync_error = EIO;
    disk.sync_failures = 2;  // each descriptor is told once; fsync(2)
    BOOST_TEST(try_to_post(store, "bob/none") == make_error_code(StoreError::sync_failed));
    BOOST_TEST(store.failure().value() == EIO);
    disk.journal.clear();
    BOOST_TEST(try_to_post(store, "bob/none") == make_error_code(StoreError::sync_failed));
    BOOST_TEST(disk.journal == "");
    BOOST_TEST(count(store) == 20u);
    BOOST_TEST(read(store, 19) == "ann/19");
}

BOOST_AUTO_TEST_CASE(a_failed_sync_of_the_meta_is_no_success_either) {
    disk.sync_error = EIO;
    disk.sync_failures = 1;
    disk.syncs_before = 1;
    BOOST_TEST(try_to_post(store, "bob/unsure") == make_error_code(StoreError::sync_failed));
    BOOST_TEST(try_to_post(store, "bob/none") == make_error_code(StoreError::sync_failed));
    BOOST_TEST(read(store, 19) == "ann/19");
}

BOOST_AUTO_TEST_CASE(a_meta_that_cannot_be_written_ends_this_process_but_not_the_board) {
    disk.write_error = EIO;
    disk.is_meta_only = true;
    BOOST_TEST(try_to_post(store, "bob/none").value() == EIO);
    BOOST_TEST(is_fatal(try_to_post(store, "bob/none")));
    Reader reader(store);
    BOOST_TEST(is_fatal(reader.snapshot().error()));
    Child next([this] {
        Store own(folder / "bb", {});
        if (count(own) != 20 || read(own, 19) != "ann/19") return 1;
        return post(own, "bob/text") == 20u ? 0 : 2;
    });
    BOOST_TEST(next.exit_code() == 0);
}

BOOST_AUTO_TEST_CASE(what_is_synced_at_intervals_is_synced_with_nobody_waiting_for_it) {
    Folder other;
    auto options = new_board();
    options.durable = false;
    Store lazy(other / "bb", options);
    Pipe syncs;
    disk.tell_syncs = syncs.write_end.get();
    Writer writer(lazy, {.mode = SyncPolicy::Mode::interval, .interval = milliseconds(1)}, logger);
    writer.start();
    write_one(writer);
    char byte = 0;
    BOOST_TEST(::read(syncs.read_end.get(), &byte, 1) == 1);
    BOOST_TEST(count(lazy) == 1u);
}

BOOST_AUTO_TEST_CASE(a_writer_whose_disk_failed_refuses_everything_and_says_what_to_do) {
    Writer writer(store, {}, logger);
    writer.start();
    BOOST_TEST(!write_one(writer));
    disk.sync_error = EIO;
    disk.sync_failures = 2;
    BOOST_TEST(write_one(writer) == make_error_code(StoreError::sync_failed));
    disk.journal.clear();
    BOOST_TEST(write_one(writer) == make_error_code(StoreError::sync_failed));
    BOOST_TEST(disk.journal == "");
    BOOST_TEST(read(store, 20) == "bob/text");
    char text[4096];
    const auto size = ::read(log.read_end.get(), text, sizeof text);
    const std::string logged(text, static_cast<std::size_t>(size));
    BOOST_TEST(logged.find("the board can't be written: Input/output error") != std::string::npos);
    BOOST_TEST(logged.find("check the disk and the board, then reload") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_writer_whose_lmdb_gave_up_ends_its_process) {
    Child child([this] {
        Store own(folder / "bb", {});
        Writer writer(own, {}, logger);
        writer.start();
        disk.write_error = EIO;
        disk.is_meta_only = true;
        if (write_one(writer).value() != EIO) return 1;
        std::signal(SIGABRT, SIG_DFL);  // Boost.Test catches it
        write_one(writer);
        return 2;
    });
    BOOST_TEST(child.exit_code() == 1000 + SIGABRT);
}

BOOST_AUTO_TEST_CASE(a_file_that_may_only_be_read_is_read) {
    std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
    std::filesystem::permissions(folder / "bb", std::filesystem::perms(0444));
    std::filesystem::permissions(folder / "bb-lock", std::filesystem::perms(0666));
    Child child([this] {
        if (!become_nobody()) return 1;
        Store own(folder / "bb", {});
        if (own.read_only_reason() != "Permission denied") return 2;
        if (read(own, 19) != "ann/19") return 3;
        return try_to_post(own, "bob/none") == StoreError::read_only ? 0 : 4;
    });
    BOOST_TEST(child.exit_code() == 0);
}

BOOST_AUTO_TEST_CASE(a_sound_board_that_may_only_be_read_is_found_sound_and_exported) {
    // Each said: 1 faults.
    std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
    std::filesystem::permissions(folder / "bb", std::filesystem::perms(0444));
    std::filesystem::permissions(folder / "bb-lock", std::filesystem::perms(0666));
    const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    const auto examine = [&] {
        const Progress progress = [](auto, auto) {};
        const OnFault on_fault = [](const std::string& fault) {
            dprintf(2, "%s\n", fault.c_str());
        };
        const auto checked = check_board(folder / "bb", progress, on_fault);
        const auto exported = export_board(folder / "bb", null.get(), progress, on_fault);
        return checked.faults + exported.faults == 0 && checked.messages == 20 ? 0 : 2;
    };
    Child other([&] { return become_nobody() ? examine() : 1; });
    BOOST_TEST(other.exit_code() == 0);
    if (::geteuid() != 0) return;
    for (const bool has_lock : {true, false}) {
        if (!has_lock) std::filesystem::remove(folder / "bb-lock");
        Child on_read_only_disk([&] {
            const auto path = folder.path().c_str();
            constexpr unsigned long again = MS_BIND | MS_REMOUNT | MS_RDONLY;
            if (::unshare(CLONE_NEWNS) < 0 ||
                ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
                ::mount(path, path, nullptr, MS_BIND, nullptr) < 0 ||
                ::mount(nullptr, path, nullptr, again, nullptr) < 0)
                return 77;
            Store own(folder / "bb", {});
            if (own.read_only_reason().find("Read-only file system") != 0) return 3;
            if (read(own, 19) != "ann/19") return 4;
            if (try_to_post(own, "bob/none") != StoreError::read_only) return 5;
            return 0;
        });
        const int code = on_read_only_disk.exit_code();
        BOOST_TEST((code == 0 || code == 77), code);
    }
}

BOOST_AUTO_TEST_CASE(what_root_makes_belongs_to_the_owner_of_the_file_or_of_its_folder) {
    if (::geteuid() != 0) return;
    const auto owner_of = [](const std::string& path) {
        struct stat status {};
        return ::stat(path.c_str(), &status) == 0 ? status.st_uid : -1u;
    };
    const Folder other;
    BOOST_REQUIRE(::chown(other.path().c_str(), nobody, nobody) == 0);
    { Store own(other / "bb", new_board()); }
    BOOST_TEST(owner_of(other / "bb") == nobody);
    BOOST_TEST(owner_of(other / "bb-lock") == nobody);
    std::filesystem::remove(other / "bb-lock");
    BOOST_REQUIRE(::chown(other.path().c_str(), 0, 0) == 0);
    const auto result = check_board(
        other / "bb", [](auto, auto) {}, [](auto&) {});
    BOOST_TEST(result.faults == 0u);
    BOOST_TEST(owner_of(other / "bb-lock") == nobody);
}

BOOST_AUTO_TEST_CASE(a_board_that_can_not_be_made_leaves_nothing_behind) {
    const Folder other;
    disk.write_error = ENOSPC;
    BOOST_TEST(refusal(other / "bb", new_board()) ==
               (other / "bb") + ": No space left on device; make room on its disk, and try again");
    BOOST_TEST(std::filesystem::is_empty(other.path()));
    overwrite(other / "text", std::string(9000, 'x'));
    BOOST_TEST(refusal(other / "text", new_board()) != "");
    BOOST_TEST(!std::filesystem::exists(other / "text-lock"));
}

BOOST_AUTO_TEST_CASE(who_may_not_even_lock_the_file_is_told_so) {
    std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
    std::filesystem::permissions(folder / "bb", std::filesystem::perms(0444));
    std::filesystem::permissions(folder / "bb-lock", std::filesystem::perms(0400));
    Child child([this] {
        if (::geteuid() != 0)
            std::filesystem::permissions(folder / "bb-lock", std::filesystem::perms(0));
        if (!become_nobody()) return 1;
        const auto expected =
            "its lock file " + (folder / "bb-lock") + ": Permission denied; do this as its owner";
        return refusal(folder / "bb").ends_with(expected) ? 0 : 2;
    });
    BOOST_TEST(child.exit_code() == 0);
}

BOOST_AUTO_TEST_CASE(names_that_a_dead_process_left_are_removed_and_those_of_the_living_stay) {
    const std::string told = folder / "told";
    Child killed([&] {
        const auto* const names = new DescriptorLinks(0, 1);
        std::ofstream(told) << names->path() << std::flush;
        return 0;  // nobody destroys them
    });
    BOOST_TEST(killed.exit_code() == 0);
    std::string left;
    std::ifstream(told) >> left;
    const auto is_there = [](const std::string& name) {
        return std::filesystem::is_symlink(name) && std::filesystem::is_symlink(name + "-lock");
    };
    const DescriptorLinks ours(0, 1);
    BOOST_TEST(!std::filesystem::exists(std::filesystem::path(left).parent_path()), left);
    Child other([&] {
        const DescriptorLinks names(0, 1);
        return names.path() != ours.path() && is_there(names.path()) ? 0 : 1;
    });
    BOOST_TEST(other.exit_code() == 0);
    BOOST_TEST(is_there(ours.path()));
}

BOOST_AUTO_TEST_CASE(handed_down_descriptors_lead_past_folders_that_are_closed_to_the_worker) {
    const UniqueFd data(::open((folder / "bb").c_str(), O_RDWR | O_CLOEXEC));
    const UniqueFd lock(::open((folder / "bb-lock").c_str(), O_RDWR | O_CLOEXEC));
    const bool as_root = ::geteuid() == 0;  // else the folder stays open to us, who own it
    if (as_root) {
        BOOST_REQUIRE(::fchown(data.get(), nobody, nobody) == 0);
        BOOST_REQUIRE(::fchown(lock.get(), nobody, nobody) == 0);
    }
    std::filesystem::permissions(folder.path(), std::filesystem::perms(0700));
    Child child([&] {
        if (!become_nobody()) return 1;
        if (as_root && refusal(folder / "bb").empty()) return 2;
        std::string links;
        auto options = StoreOptions{};
        options.shown_as = "bb";
        std::optional<Store> own;
        {
            const DescriptorLinks names(data.get(), lock.get());
            links = names.path();
            own.emplace(names.path(), options);
        }
        if (std::filesystem::exists(std::filesystem::path(links).parent_path())) return 3;
        return post(*own, "bob/text") == 20u && own->read_only_reason().empty() ? 0 : 4;
    });
    BOOST_TEST(child.exit_code() == 0);
    BOOST_TEST(read(store, 20) == "bob/text");
}

BOOST_AUTO_TEST_SUITE_END()
