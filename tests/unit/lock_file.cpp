#include "master/lock_file.hpp"

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <vector>

#include "master/folders.hpp"
#include "process_support.hpp"
#include "shared/exit_code.hpp"

using namespace preforkd;
using namespace preforkd::master;
using preforkd::testing::in_child;
using preforkd::testing::Pipe;
using preforkd::testing::read_until_closed;
using preforkd::testing::start_child;
using preforkd::testing::TempFolder;
using preforkd::testing::wait_for;

namespace {

constexpr uid_t nobody = 65534;

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
}

bool exists(const std::string& path) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0;
}

/// The message that acquire(path) fails with; empty when it succeeds.
std::string refusal(const std::string& path) {
    try {
        const LockFile lock = LockFile::acquire(path);
        return {};
    } catch (const StartupError& error) {
        return error.what();
    }
}

bool mentions(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// A process that keeps what `take` returned until told to end.
class Holder {
  public:
    template <class Take>
    explicit Holder(Take take) {
        Pipe taken;
        pid_ = start_child([&] {
            go_.writing.reset();
            const auto kept = take();
            taken.writing.reset();
            return static_cast<int>(read_until_closed(go_.reading).size());
        });
        taken.writing.reset();
        read_until_closed(taken.reading);
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() { end(); }

    void end() {
        if (pid_ == 0) return;
        go_.writing.reset();
        BOOST_TEST(wait_for(std::exchange(pid_, 0)) == 0);
    }
    void kill() {
        ::kill(pid_, SIGKILL);
        BOOST_TEST(wait_for(std::exchange(pid_, 0)) == 128 + SIGKILL);
    }
    [[nodiscard]] pid_t pid() const { return pid_; }

  private:
    Pipe go_;
    pid_t pid_ = 0;
};

std::string running_as(pid_t pid) {
    return "already running as pid " + std::to_string(pid) + " (lock ";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lock_file)

BOOST_AUTO_TEST_CASE(holds_the_pid_of_its_process_and_is_removed_at_the_end) {
    const TempFolder folder;
    const std::string path = folder / "pid";
    {
        const LockFile lock = LockFile::acquire(path);
        BOOST_TEST(text_of(path) == std::to_string(::getpid()) + "\n");
        struct stat found {};
        BOOST_REQUIRE(::stat(path.c_str(), &found) == 0);
        BOOST_TEST((found.st_mode & 07777) == 0644u);
        BOOST_TEST((::fcntl(lock.fd().get(), F_GETFD) & FD_CLOEXEC) != 0);
    }
    BOOST_TEST(!exists(path));
}

// An empty file stayed: only one that was written was thought our own.
BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_goes_again) {
    const TempFolder folder;
    const std::string path = folder / "pid";
    const int status = in_child([&] {
        const rlimit none{0, 0};
        (void)::signal(SIGXFSZ, SIG_IGN);
        if (::setrlimit(RLIMIT_FSIZE, &none) < 0) return 1;
        const std::string told = refusal(path);
        return mentions(told, "cannot write our pid: File too large") &&
                       mentions(told, "ulimit -f, LimitFSIZE=")
                   ? 0
                   : 2;
    });
    BOOST_TEST(status == 0);
    BOOST_TEST(!exists(path));
}

BOOST_AUTO_TEST_CASE(a_second_copy_is_told_who_runs_and_what_to_do) {
    const TempFolder folder;
    const std::string path = folder / "pid";
    Holder holder([&] { return LockFile::acquire(path); });
    BOOST_TEST(mentions(refusal(path), running_as(holder.pid())));
    BOOST_TEST(mentions(refusal(path), "kill -HUP "));
    BOOST_TEST(text_of(path) == std::to_string(holder.pid()) + "\n");
    holder.kill();
    BOOST_TEST(refusal(path) == "");
}

BOOST_AUTO_TEST_CASE(a_stale_file_never_hinders_whatever_pid_it_names) {
    const TempFolder folder;
    const std::string path = folder / "pid";
    for (const std::string& text :
         {std::string("1\n"), std::to_string(::getpid()) + "\n", std::string("no number"),
          std::string(), std::string("99999999999999999999\n")}) {
        write_text(path, text);
        const LockFile lock = LockFile::acquire(path);
        BOOST_TEST(text_of(path) == std::to_string(::getpid()) + "\n");
    }
}

BOOST_AUTO_TEST_CASE(a_live_lock_always_hinders_and_its_holder_is_named_whatever_pid_it_holds) {
    const TempFolder folder;
    const std::string path = folder / "pid";
    for (const char* text : {"1\n", "999999999\n", "not a number\n", "", "-5\n"}) {
        const Holder holder([&] {
            LockFile lock = LockFile::acquire(path);
            write_text(path, text);
            return lock;
        });
        BOOST_TEST(mentions(refusal(path), running_as(holder.pid())));
    }
}

BOOST_AUTO_TEST_CASE(after_a_fork_the_child_that_writes_its_pid_alone_removes_it) {
    const TempFolder folder;
    const std::string path = folder / "pid";
    LockFile lock = LockFile::acquire(path);
    const Holder heir([&] {
        BOOST_REQUIRE(!lock.write_pid());
        return std::move(lock);
    });
    lock.release();  // the launcher leaves: without removing it, and without unlocking it
    BOOST_TEST(!exists(path));
}

BOOST_AUTO_TEST_CASE(a_child_that_does_not_own_it_leaves_it_alone) {
    const TempFolder folder;
    const std::string path = folder / "pid";
    LockFile lock = LockFile::acquire(path);
    BOOST_TEST(in_child([&] {
                   lock.release();
                   return exists(path) ? 0 : 1;
               }) == 0);
    BOOST_TEST(exists(path));
    BOOST_TEST(in_child([&] {
                   lock = LockFile::adopt(path, ::dup(lock.fd().get()));
                   return 0;
               }) == 0);
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_longer_ours_is_not_removed) {
    const TempFolder folder;
    const std::string path = folder / "pid";
    LockFile lock = LockFile::acquire(path);
    BOOST_REQUIRE(::unlink(path.c_str()) == 0);
    write_text(path, "somebody else's");
    lock.release();
    BOOST_TEST(text_of(path) == "somebody else's");
}

BOOST_AUTO_TEST_CASE(unsafe_files_are_refused_and_left_as_they_are) {
    const TempFolder folder;
    const std::string target = folder / "target", path = folder / "pid";
    write_text(target, "precious");

    BOOST_REQUIRE(::symlink(target.c_str(), path.c_str()) == 0);
    BOOST_TEST(mentions(refusal(path), "is a symbolic link"));
    ::unlink(path.c_str());

    BOOST_REQUIRE(::symlink((folder / "absent").c_str(), path.c_str()) == 0);
    BOOST_TEST(mentions(refusal(path), "is a symbolic link"));
    BOOST_TEST(!exists(folder / "absent"));
    ::unlink(path.c_str());

    BOOST_REQUIRE(::link(target.c_str(), path.c_str()) == 0);
    BOOST_TEST(mentions(refusal(path), "hard link"));
    ::unlink(path.c_str());

    BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    BOOST_TEST(mentions(refusal(path), "is no regular file"));
    ::unlink(path.c_str());

    BOOST_REQUIRE(::mkdir(path.c_str(), 0700) == 0);
    BOOST_TEST(mentions(refusal(path), "is no regular file"));
    ::rmdir(path.c_str());

    write_text(path, "");
    BOOST_REQUIRE(::chmod(path.c_str(), 0666) == 0);
    BOOST_TEST(mentions(refusal(path), "has mode 0666"));
    BOOST_REQUIRE(::chmod(path.c_str(), 0664) == 0);
    BOOST_TEST(mentions(refusal(path), "has mode 0664"));

    BOOST_TEST(text_of(target) == "precious");
}

BOOST_AUTO_TEST_CASE(devices_and_other_peoples_files_are_refused) {
    if (::geteuid() != 0) {
        BOOST_TEST_MESSAGE("skipped: needs root");
        return;
    }
    const TempFolder folder;
    const std::string path = folder / "pid";
    write_text(path, "");
    BOOST_REQUIRE(::chown(path.c_str(), nobody, nobody) == 0);
    BOOST_TEST(mentions(refusal(path), "belongs to uid 65534"));
    ::unlink(path.c_str());
    if (::mknod(path.c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0)
        BOOST_TEST(mentions(refusal(path), "is no regular file"));
}

BOOST_AUTO_TEST_CASE(an_unsafe_folder_is_refused) {
    const TempFolder folder;
    const std::string inner = folder / "run";
    BOOST_REQUIRE(::mkdir(inner.c_str(), 0755) == 0);
    BOOST_REQUIRE(::chmod(inner.c_str(), 0777) == 0);
    BOOST_TEST(mentions(refusal(inner + "/pid"), "has mode 0777"));
    BOOST_REQUIRE(::chmod(inner.c_str(), 01777) == 0);
    BOOST_TEST(refusal(inner + "/pid") == "");
    BOOST_TEST(mentions(refusal(folder / "absent/pid"), "does not exist, for lock file"));
    BOOST_TEST(!exists(folder / "absent"));
    if (::geteuid() != 0) return;
    BOOST_REQUIRE(::chown(inner.c_str(), nobody, nobody) == 0);
    BOOST_TEST(mentions(refusal(inner + "/pid"), "belongs to uid 65534"));
}

BOOST_AUTO_TEST_CASE(the_runtime_folder_is_made_with_the_right_mode_under_any_umask) {
    const TempFolder folder;
    for (const mode_t mask : {0000u, 0077u, 0777u}) {
        const std::string made = folder / ("run" + std::to_string(mask));
        BOOST_TEST(in_child([&] {
                       ::umask(mask);
                       make_runtime_folder_for(folder / "elsewhere/pid", made);
                       make_runtime_folder_for(made + "/pid", made + "/");
                       return refusal(made + "/pid").empty() ? 0 : 1;
                   }) == 0);
        BOOST_TEST(!exists(folder / "elsewhere"));
        struct stat found {};
        BOOST_REQUIRE(::stat(made.c_str(), &found) == 0);
        BOOST_TEST((found.st_mode & 07777) == (::geteuid() == 0 ? 0755u : 0700u));
    }
}

BOOST_AUTO_TEST_CASE(without_the_right_to_write_the_exit_code_says_no_privilege) {
    const TempFolder folder;
    BOOST_REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
    const int status = in_child([&] {
        if (::geteuid() == 0 && ::setresuid(nobody, nobody, nobody) < 0) return 90;
        try {
            (void)LockFile::acquire(folder / "pid");
        } catch (const StartupError& error) {
            return error.exit_code();
        }
        return 91;
    });
    BOOST_TEST(status == exit_no_privilege);
}

BOOST_AUTO_TEST_CASE(of_many_simultaneous_starts_exactly_one_wins_and_the_others_name_it) {
    constexpr int starters = 16;
    for (int round = 0; round < 10; ++round) {
        const TempFolder folder;
        const std::string path = folder / "pid";
        if (round % 2 == 1) write_text(path, "4194304\n");  // stale
        Pipe start, verdicts, finish;
        std::vector<pid_t> children;
        for (int number = 0; number < starters; ++number)
            children.push_back(start_child([&] {
                start.writing.reset();
                finish.writing.reset();
                read_until_closed(start.reading);
                try {
                    const LockFile lock = LockFile::acquire(path);
                    const std::string line = "won " + std::to_string(::getpid()) + "\n";
                    if (::write(verdicts.writing.get(), line.data(), line.size()) < 0) return 1;
                    verdicts.writing.reset();
                    read_until_closed(finish.reading);
                } catch (const StartupError& error) {
                    const std::string line = std::string(error.what()) + "\n";
                    if (::write(verdicts.writing.get(), line.data(), line.size()) < 0) return 1;
                }
                return 0;
            }));
        start.writing.reset();
        verdicts.writing.reset();
        const std::string text = read_until_closed(verdicts.reading);
        finish.writing.reset();
        for (const pid_t child : children) BOOST_TEST(wait_for(child) == 0);

        std::istringstream lines(text);
        std::string line, winner;
        std::vector<std::string> losers;
        int winners = 0;
        while (std::getline(lines, line)) {
            if (line.starts_with("won ")) {
                ++winners;
                winner = line.substr(4);
            } else if (!line.starts_with(' ')) {  // else what to do about it
                losers.push_back(line);
            }
        }
        BOOST_TEST(winners == 1);
        BOOST_TEST(losers.size() == starters - 1u);
        for (const std::string& loser : losers)
            BOOST_TEST(mentions(loser, "already running as pid " + winner + " "));
        BOOST_TEST(!exists(path));
    }
}

// The race: A removes the file and leaves, B had it open and locks it, C makes a new one and locks
// that. Both would be inside at once.
BOOST_AUTO_TEST_CASE(copies_that_come_and_go_are_never_two_at_a_time) {
    const TempFolder folder;
    const std::string path = folder / "pid", inside = folder / "inside";
    std::vector<pid_t> children;
    for (int number = 0; number < 8; ++number)
        children.push_back(start_child([&] {
            for (int turn = 0; turn < 300; ++turn) {
                try {
                    const LockFile lock = LockFile::acquire(path);
                    const UniqueFd mark(::open(inside.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600));
                    if (!mark.is_open()) return 1;
                    if (::unlink(inside.c_str()) < 0) return 2;
                } catch (const StartupError& error) {
                    if (!mentions(error.what(), "already running")) throw;
                }
            }
            return 0;
        }));
    for (const pid_t child : children) BOOST_TEST(wait_for(child) == 0);
    BOOST_TEST(!exists(path));
}

BOOST_AUTO_TEST_CASE(a_lock_handed_over_is_adopted_and_still_held) {
    const TempFolder folder;
    const std::string path = folder / "pid";
    LockFile before = LockFile::acquire(path);
    const UniqueFd other(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    BOOST_REQUIRE(::ftruncate(other.get(), 0) == 0);
    LockFile after = LockFile::adopt(path, ::dup(before.fd().get()));
    BOOST_TEST(text_of(path) == std::to_string(::getpid()) + "\n");
    BOOST_TEST((::fcntl(after.fd().get(), F_GETFD) & FD_CLOEXEC) != 0);
    BOOST_TEST(::flock(other.get(), LOCK_EX | LOCK_NB) == -1);
    const Pipe pipe;
    BOOST_CHECK_THROW((void)LockFile::adopt(path, other.get()), StartupError);
    BOOST_CHECK_THROW((void)LockFile::adopt(path, pipe.reading.get()), StartupError);
    BOOST_TEST(::fcntl(pipe.reading.get(), F_GETFD) >= 0);
    after.release();
    BOOST_TEST(!exists(path));
}

BOOST_AUTO_TEST_SUITE_END()
