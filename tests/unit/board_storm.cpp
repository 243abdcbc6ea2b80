#include <fmt/format.h>
#include <poll.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "board_fixture.hpp"
#include "worker/services/board_writer.hpp"

// Writers that are killed at any moment: what they had acknowledged is there, once and whole.
// BOARD_STORM_ROUNDS=200 makes more of it.

using namespace board_test;

namespace {

constexpr int lanes = 8;

/// What a writer tells once a message may be acknowledged.
struct Acknowledgement {
    int writer = 0;
    int lane = 0;
    int step = 0;  // counts a lane's messages; a replaced one carries the new step
    std::uint64_t number = 0;
};

std::string text_of(int writer, int lane, int step) {
    return fmt::format("w{}.{}/{} {}", writer, lane, step,
                       std::string(step % 13 == 0 ? 2500 : 50, 'x'));
}

/// Eight clients of one worker, each writing one message after the other; every fourth replaces.
class Lanes {
  public:
    Lanes(const std::string& path, int writer, int acknowledgements)
        : store_(path, {}), writer_number_(writer), out_(acknowledgements) {}

    void run() {
        writer_.start();
        for (int lane = 0; lane < lanes; ++lane) submit(lane, 0, {});
        for (;;) {
            pollfd readable{.fd = writer_.descriptor(), .events = POLLIN, .revents = 0};
            ::poll(&readable, 1, -1);
            writer_.deliver();
        }
    }

  private:
    void submit(int lane, int step, std::optional<std::uint64_t> replaces) {
        auto job = std::make_shared<WriteJob>();
        WriteRequest request;
        request.text = text_of(writer_number_, lane, step);
        request.replaces = replaces;
        job->requests.push_back(request);
        job->on_done = [this, lane, step, raw = job.get()] {
            if (raw->requests[0].error) ::_exit(1);
            const Acknowledgement done{writer_number_, lane, step, raw->requests[0].number};
            if (::write(out_, &done, sizeof done) != sizeof done) ::_exit(2);
            submit(lane, step + 1,
                   step % 4 == 3 ? std::optional(done.number) : std::optional<std::uint64_t>());
        };
        writer_.submit(std::move(job));
    }

    Store store_;
    int writer_number_;
    int out_;
    Logger logger_{2, LogStyle::plain, LogLevel::error, "storm"};
    Writer writer_{store_, {}, report_to(logger_)};
};

class Storm {
  public:
    explicit Storm(unsigned seed) : random_(seed) { Store store(path_, new_board()); }

    void start_writer() {
        const int writer = ++started_;
        writers_.push_back(std::make_unique<Child>([this, writer] {
            Lanes(path_, writer, told_.write_end.get()).run();
            return 0;
        }));
    }

    /// Lets the writers get on, by up to `most` messages.
    void read_some(unsigned most) {
        for (auto left = random_() % most + 1; left > 0; --left) {
            Acknowledgement done;
            pollfd readable{.fd = told_.read_end.get(), .events = POLLIN, .revents = 0};
            BOOST_REQUIRE_MESSAGE(::poll(&readable, 1, 10'000) == 1, "the writers are blocked");
            BOOST_REQUIRE(::read(told_.read_end.get(), &done, sizeof done) == sizeof done);
            note(done);
        }
    }

    void kill_one() {
        const auto victim = writers_.begin() + static_cast<long>(random_() % writers_.size());
        (*victim)->kill();
        writers_.erase(victim);
    }

    void kill_all() {
        for (const auto& writer : writers_) ::kill(writer->pid(), SIGKILL);
        writers_.clear();
        pollfd readable{.fd = told_.read_end.get(), .events = POLLIN, .revents = 0};
        while (::poll(&readable, 1, 0) == 1) {
            Acknowledgement done;
            BOOST_REQUIRE(::read(told_.read_end.get(), &done, sizeof done) == sizeof done);
            note(done);
        }
    }

    /// Nothing acknowledged is lost, older than acknowledged, doubled, torn or out of order.
    void verify() {
        Store store(path_, {});
        Reader reader(store);
        const auto snapshot = reader.snapshot();
        BOOST_REQUIRE(snapshot);
        std::set<std::string> seen;
        std::map<std::pair<int, int>, int> last_steps;
        for (std::uint64_t number = 0; number < snapshot->end(); ++number) {
            const auto text = snapshot->read(number);
            BOOST_REQUIRE(text);
            int writer = 0;
            int lane = 0;
            int step = 0;
            BOOST_REQUIRE(
                std::sscanf(std::string(*text).c_str(), "w%d.%d/%d", &writer, &lane, &step) == 3);
            BOOST_REQUIRE(*text == text_of(writer, lane, step));
            BOOST_REQUIRE(seen.insert(std::string(*text)).second);
            const auto before = last_steps.try_emplace({writer, lane}, -1).first;
            BOOST_REQUIRE(step > before->second);
            before->second = step;
            if (const auto acknowledged = acknowledged_.find(number);
                acknowledged != acknowledged_.end()) {
                BOOST_REQUIRE(writer == acknowledged->second.writer);
                BOOST_REQUIRE(lane == acknowledged->second.lane);
                BOOST_REQUIRE(step >= acknowledged->second.step);
                ++checked_;
            }
        }
        BOOST_TEST(checked_ == acknowledged_.size());
        checked_ = 0;
    }

    [[nodiscard]] std::size_t acknowledged() const { return acknowledged_.size(); }

  private:
    void note(const Acknowledgement& done) { acknowledged_[done.number] = done; }

    Folder folder_;
    std::string path_ = folder_ / "bb";
    Pipe told_;
    std::mt19937 random_;
    int started_ = 0;
    std::vector<std::unique_ptr<Child>> writers_;
    std::map<std::uint64_t, Acknowledgement> acknowledged_;
    std::size_t checked_ = 0;
};

unsigned rounds(unsigned usual) {
    const char* const wanted = std::getenv("BOARD_STORM_ROUNDS");
    return wanted == nullptr ? usual : static_cast<unsigned>(std::atoi(wanted));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(board_storm)

BOOST_AUTO_TEST_CASE(nothing_acknowledged_is_lost_when_all_writers_are_killed_at_once) {
    Storm storm(1);
    for (unsigned round = 0; round < rounds(15); ++round) {
        for (int i = 0; i < 3; ++i) storm.start_writer();
        storm.read_some(300);
        storm.kill_all();
        storm.verify();
    }
    BOOST_TEST_MESSAGE(storm.acknowledged() << " messages");
}

BOOST_AUTO_TEST_CASE(the_others_go_on_when_one_writer_is_killed) {
    Storm storm(2);
    for (int i = 0; i < 3; ++i) storm.start_writer();
    for (unsigned round = 0; round < rounds(30); ++round) {
        storm.read_some(200);
        storm.kill_one();
        storm.read_some(50);
        storm.start_writer();
    }
    storm.kill_all();
    storm.verify();
    BOOST_TEST_MESSAGE(storm.acknowledged() << " messages");
}

BOOST_AUTO_TEST_SUITE_END()
