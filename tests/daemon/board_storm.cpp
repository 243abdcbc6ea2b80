#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "client.hpp"
#include "daemon.hpp"
#include "deadline.hpp"

// Killed at any moment, all of it or one worker, while clients write over real sockets and record
// what was acknowledged: nothing of that is lost, torn, doubled or out of order, and nobody is
// blocked after. BOARD_STORM_TREE=50, _WORKERS=200 and _CHANGES=50 make more of it.

using namespace preforkd::testing;

namespace {

int rounds(const char* variable, int usual) {
    const char* const wanted = std::getenv(variable);
    return wanted == nullptr ? usual : std::atoi(wanted);
}

/// What one message was to become.
struct Written {
    int connection = 0;
    int step = 0;
    bool operator<(const Written& other) const {
        return std::pair(connection, step) < std::pair(other.connection, other.step);
    }
};

std::string text_of(const Written& written) {
    return fmt::format("c{}/{} {}", written.connection, written.step,
                       std::string(written.step % 11 == 0 ? 2500 : 40, 'x'));
}

/// The memory of all connections there were.
struct Record {
    std::map<std::uint64_t, Written>
        acknowledged;         // by number; a replaced one carries the new step
    std::map<int, int> sent;  // by connection: how many steps
    int connections = 0;
};

/// One connection that writes in batches, every fifth message a REPLACE of one of its own.
class Recorder {
  public:
    Recorder(Record& record, const std::string& address)
        : record_(record), number_(++record.connections), client_(address) {
        (void)client_.receive_line();
        (void)client_.ask(fmt::format("USER c{}", number_));
    }

    void send_batch(int size) {
        std::string lines;
        for (int i = 0; i < size; ++i) {
            const Written written{number_, step_++};
            const std::string text = text_of(written);
            const std::string message = text.substr(text.find('/') + 1);
            const bool replaces = written.step % 5 == 4 && !own_.empty();
            lines += replaces ? fmt::format("REPLACE {}/{}\n", own_.back(), message)
                              : fmt::format("WRITE {}\n", message);
            waiting_.push_back(written);
        }
        record_.sent[number_] = step_;
        (void)client_.try_send(lines);  // what was sent to a broken connection stays unanswered
    }

    /// Takes the answers to what was sent; false when the connection has broken.
    bool take_answers(std::size_t leave = 0) {
        while (waiting_.size() > leave) {
            const auto line = client_.try_receive_line();
            if (!line) return false;
            if (line->starts_with("4.0 BYE ")) return false;
            std::uint64_t number = 0;
            BOOST_REQUIRE_MESSAGE(std::sscanf(line->c_str(), "3.0 WROTE %lu", &number) == 1, *line);
            record_.acknowledged[number] = waiting_.front();
            own_.push_back(number);
            waiting_.erase(waiting_.begin());
        }
        return true;
    }

  private:
    Record& record_;
    int number_;
    Client client_;
    int step_ = 0;
    std::vector<Written> waiting_;
    std::vector<std::uint64_t> own_;
};

struct Storm {
    TempFolder folder;
    std::string file = folder / "bbfile";
    std::mt19937 random{7};
    Record record;
    Daemon server{setup()};
    std::vector<Recorder> recorders;

    Setup setup() const {
        Setup wanted;
        wanted.keys = "workers = 3\ndrain_timeout = 10s\n";
        wanted.sections = listener("board", "board", "file = " + file + "\n");
        return wanted;
    }

    void connect_all() {
        recorders.clear();
        for (int i = 0; i < 8; ++i) recorders.emplace_back(record, server.address("board"));
    }

    /// Each connection has sent more than was answered.
    void write_some() {
        for (int i = static_cast<int>(random() % 4); i >= 0; --i) {
            for (Recorder& recorder : recorders)
                recorder.send_batch(static_cast<int>(random() % 6) + 1);
            for (Recorder& recorder : recorders) (void)recorder.take_answers(random() % 8);
        }
    }

    /// What broken connections had sent counts up to the last answer that had left.
    void take_what_is_left() {
        for (Recorder& recorder : recorders) (void)recorder.take_answers();
    }

    void verify() {
        Client client(server.address("board"));
        (void)client.receive_line();
        client.send("LIST\n");
        std::set<Written> seen;
        std::map<int, int> last_step, seen_of;
        std::size_t checked = 0;
        for (std::uint64_t number = 0;; ++number) {
            const std::string line = client.receive_line();
            if (line == fmt::format("2.3 END {}", number)) break;
            const std::string prefix = fmt::format("2.0 MESSAGE {} ", number);
            BOOST_REQUIRE_MESSAGE(line.starts_with(prefix), line);
            const std::string text = line.substr(prefix.size());
            Written written;
            BOOST_REQUIRE(std::sscanf(text.c_str(), "c%d/%d", &written.connection, &written.step) ==
                          2);
            BOOST_REQUIRE_MESSAGE(text == text_of(written), "torn: " << text);
            BOOST_REQUIRE_MESSAGE(seen.insert(written).second, "doubled: " << text);
            BOOST_REQUIRE(written.step < record.sent[written.connection]);
            // What was written later stands later; a replaced one carries a later step.
            const auto before = last_step.try_emplace(written.connection, -1).first;
            BOOST_REQUIRE_MESSAGE(written.step > before->second || written.step % 5 == 4,
                                  "out of order: " << text);
            if (written.step % 5 != 4) before->second = written.step;
            const auto found = record.acknowledged.find(number);
            if (found == record.acknowledged.end()) continue;
            BOOST_REQUIRE(found->second.connection == written.connection);
            BOOST_REQUIRE_MESSAGE(written.step >= found->second.step, "older: " << text);
            ++checked;
        }
        BOOST_TEST(checked == record.acknowledged.size());
    }

    void kill_all() {
        std::vector<pid_t> all = server.workers();
        all.insert(all.begin(), server.pid());
        for (const pid_t pid : all) ::kill(pid, SIGKILL);
        take_what_is_left();
        for (const pid_t child : children_of(::getpid())) (void)Process(child).reap();
    }

    /// The signal again and again, in the middle of what clients write.
    void change_under_load(int signal, const std::string& verdict) {
        server.start();
        connect_all();
        for (int round = 0; round < rounds("BOARD_STORM_CHANGES", 5); ++round) {
            for (Recorder& recorder : recorders) recorder.send_batch(20);
            server.send(signal);
            for (bool goes_on = true; goes_on;) {
                goes_on = false;
                for (Recorder& recorder : recorders)
                    if (recorder.take_answers(3)) {
                        goes_on = true;
                        recorder.send_batch(5);
                    }
            }
            server.wait_for_line({verdict});
            connect_all();
        }
        take_what_is_left();
        verify();
        server.stop();
    }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(board_storm, Storm)

BOOST_AUTO_TEST_CASE(nothing_acknowledged_is_lost_when_everything_is_killed) {
    for (int round = 0; round < rounds("BOARD_STORM_TREE", 5); ++round) {
        server.start();
        connect_all();
        write_some();
        kill_all();
    }
    server.start();
    verify();
    BOOST_TEST_MESSAGE(record.acknowledged.size() << " messages acknowledged");
    server.stop();
}

BOOST_AUTO_TEST_CASE(nothing_acknowledged_is_lost_when_workers_are_killed) {
    server.start();
    connect_all();
    for (int round = 0; round < rounds("BOARD_STORM_WORKERS", 10); ++round) {
        write_some();
        const auto workers = server.workers();
        const pid_t victim = workers.at(random() % workers.size());
        server.mark();
        ::kill(victim, SIGKILL);
        server.wait_for_line({"worker=" + std::to_string(victim), "signal 9"});
        take_what_is_left();
        server.wait_for_line({"worker ready"});
        connect_all();
    }
    verify();
    BOOST_TEST_MESSAGE(record.acknowledged.size() << " messages acknowledged");
    server.stop();
}

BOOST_AUTO_TEST_CASE(a_reload_under_load_loses_nothing) {
    change_under_load(SIGHUP, "reload ok");
}

BOOST_AUTO_TEST_CASE(an_upgrade_under_load_loses_nothing) {
    change_under_load(SIGUSR2, "upgrade ok");
}

BOOST_AUTO_TEST_SUITE_END()
