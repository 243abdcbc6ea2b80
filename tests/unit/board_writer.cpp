#include "worker/services/board_writer.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <boost/test/unit_test.hpp>
#include <numeric>

#include "board_fixture.hpp"

using namespace board_test;

namespace {

std::shared_ptr<WriteJob> job_of(std::vector<WriteRequest> requests) {
    auto job = std::make_shared<WriteJob>();
    job->requests = std::move(requests);
    return job;
}

WriteRequest append(std::string text) {
    WriteRequest request;
    request.text = std::move(text);
    return request;
}

WriteRequest replace(std::uint64_t number, std::string text) {
    auto request = append(std::move(text));
    request.replaces = number;
    return request;
}

struct Board {
    Folder folder;
    Store store{folder / "bb", new_board()};
    Pipe log;
    Logger log_lines{log.write_end.get(), LogStyle::plain, LogLevel::info, "test"};
    Report logger = report_to(log_lines);
    int done = 0;

    [[nodiscard]] std::uint64_t transactions() {
        Reader reader(store);
        return reader.snapshot()->pages().meta().transaction;
    }

    void submit(Writer& writer, const std::shared_ptr<WriteJob>& job) {
        job->on_done = [this] { ++done; };
        writer.submit(job);
    }

    void wait_for(Writer& writer, int jobs) {
        while (done < jobs) {
            pollfd readable{.fd = writer.descriptor(), .events = POLLIN, .revents = 0};
            BOOST_REQUIRE(::poll(&readable, 1, 10'000) == 1);
            writer.deliver();
        }
    }

    std::string logged() {
        char text[8192];
        log.write_end.reset();
        const auto size = ::read(log.read_end.get(), text, sizeof text);
        return {text, static_cast<std::size_t>(size)};
    }
};

/// Another process that has its turn until this one lets it end.
class Turn {
  public:
    explicit Turn(const std::string& path)
        : child_([this, path] {
              Store store(path, {});
              auto transaction = Transaction::begin(store);
              char byte = 'x';
              if (!transaction || ::write(began_.write_end.get(), &byte, 1) != 1) return 1;
              end_.write_end.reset();
              return static_cast<int>(::read(end_.read_end.get(), &byte, 1));
          }) {
        char byte = 0;
        BOOST_REQUIRE(::read(began_.read_end.get(), &byte, 1) == 1);
    }
    void end() {
        end_.write_end.reset();
        BOOST_TEST(child_.exit_code() == 0);
    }

  private:
    Pipe began_;
    Pipe end_;
    Child child_;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(board_writer, Board)

BOOST_AUTO_TEST_CASE(a_job_is_written_in_its_order_and_tells_the_numbers) {
    Writer writer(store, {}, logger);
    writer.start();
    const auto job =
        job_of({append("ann/a"), append("ann/b"), replace(0, "bob/c"), append("ann/d")});
    submit(writer, job);
    wait_for(writer, 1);
    for (const auto& request : job->requests) BOOST_TEST(!request.error);
    BOOST_TEST(job->requests[0].number == 0u);
    BOOST_TEST(job->requests[1].number == 1u);
    BOOST_TEST(job->requests[2].number == 0u);
    BOOST_TEST(job->requests[3].number == 2u);
    BOOST_TEST(read(store, 0) == "bob/c");
    BOOST_TEST(read(store, 1) == "ann/b");
    BOOST_TEST(read(store, 2) == "ann/d");
}

BOOST_AUTO_TEST_CASE(what_gathers_while_another_worker_has_its_turn_is_one_transaction) {
    Turn turn(folder / "bb");
    Writer writer(store, {}, logger);
    writer.start();
    const auto before = transactions();
    std::vector<std::shared_ptr<WriteJob>> jobs;
    for (int i = 0; i < 100; ++i) {
        jobs.push_back(job_of({append(fmt::format("ann/{}", i))}));
        submit(writer, jobs.back());
    }
    turn.end();
    wait_for(writer, 100);
    BOOST_TEST(transactions() == before + 1);
    for (std::uint64_t i = 0; i < 100; ++i) BOOST_TEST(jobs[i]->requests[0].number == i);
}

// A process without a limit could stop all writing, and nothing was said.
BOOST_AUTO_TEST_CASE(a_turn_that_is_long_in_coming_is_told_once) {
    Turn turn(folder / "bb");
    Writer writer(store, {}, logger);
    writer.start();
    writer.tell_of_waiting(milliseconds(0));
    submit(writer, job_of({append("ann/a")}));
    pollfd told{.fd = log.read_end.get(), .events = POLLIN, .revents = 0};
    for (int i = 0; i < 1000 && ::poll(&told, 1, 10) == 0; ++i) {
        writer.tell_of_waiting(std::chrono::hours(1));
        writer.tell_of_waiting(milliseconds(1));
    }
    writer.tell_of_waiting(milliseconds(0));
    turn.end();
    wait_for(writer, 1);
    writer.tell_of_waiting(milliseconds(0));
    const auto text = logged();
    BOOST_TEST(text.find("writing has waited 0.001 s for another process's turn; 'fuser -v " +
                         (folder / "bb") + "' names") != std::string::npos,
               text);
    BOOST_TEST(std::count(text.begin(), text.end(), '\n') == 1, text);
}

BOOST_AUTO_TEST_CASE(replacing_one_message_many_times_keeps_the_last) {
    Writer writer(store, {}, logger);
    writer.start();
    const auto job = job_of({append("ann/0")});
    for (int i = 1; i <= 20; ++i)
        job->requests.push_back(replace(0, fmt::format("ann/{}{}", i, std::string(3000, 'x'))));
    submit(writer, job);
    wait_for(writer, 1);
    for (const auto& request : job->requests) BOOST_TEST(!request.error);
    BOOST_TEST(read(store, 0) == "ann/20" + std::string(3000, 'x'));
    BOOST_TEST(count(store) == 1u);
}

// Each repetition ended the batch, since LMDB stores a message only once in a transaction, and all
// that others wrote waited behind: 4 s for one client's 2700 lines.
BOOST_AUTO_TEST_CASE(a_message_that_is_replaced_again_and_again_does_not_end_the_batch) {
    for (const char* const text : {"ann/a", "ann/b"}) post(store, text);
    Turn turn(folder / "bb");
    Writer writer(store, {}, logger);
    writer.start();
    const auto before = transactions();
    const auto burst = job_of({});
    for (int i = 0; i < 2000; ++i) {
        burst->requests.push_back(
            replace(static_cast<unsigned>(1 - i % 2), fmt::format("bob/{}", i)));
        burst->requests.push_back(replace(2, fmt::format("bob/{}", i)));
        burst->requests.push_back(replace(9, "bob/none"));
        if (i == 0) burst->requests.push_back(append("bob/new"));
    }
    const auto other = job_of({append("eve/c"), replace(3, "eve/d"), replace(0, "eve/e")});
    submit(writer, burst);
    submit(writer, other);
    turn.end();
    wait_for(writer, 2);
    BOOST_TEST(transactions() == before + 1);
    const auto unknown = make_error_code(StoreError::unknown_number);
    BOOST_TEST(burst->requests[1].error == unknown);  // it was not written yet
    BOOST_TEST(burst->requests[3].number == 2u);
    BOOST_TEST(!burst->requests[5].error);
    BOOST_TEST(burst->requests[6].error == unknown);
    for (const auto& request : other->requests) BOOST_TEST(!request.error);
    BOOST_TEST(other->requests[1].number == 3u);
    BOOST_TEST(read(store, 0) == "eve/e");
    BOOST_TEST(read(store, 1) == "bob/1998");
    BOOST_TEST(read(store, 2) == "bob/1999");
    BOOST_TEST(read(store, 3) == "eve/d");
    BOOST_TEST(count(store) == 4u);
}

BOOST_AUTO_TEST_CASE(a_message_that_is_not_there_spoils_nothing_but_its_own_request) {
    Writer writer(store, {}, logger);
    writer.start();
    const auto job = job_of({append("ann/a"), replace(7, "ann/b"), append("ann/c")});
    const auto only_bad = job_of({replace(7, "ann/b")});
    submit(writer, job);
    submit(writer, only_bad);
    wait_for(writer, 2);
    BOOST_TEST(!job->requests[0].error);
    BOOST_TEST(job->requests[1].error == make_error_code(StoreError::unknown_number));
    BOOST_TEST(job->requests[2].number == 1u);
    BOOST_TEST(only_bad->requests[0].error == make_error_code(StoreError::unknown_number));
}

BOOST_AUTO_TEST_CASE(a_job_of_more_than_one_batch_is_written_whole) {
    StoreOptions options = new_board();
    options.durable = false;
    Store lazy(folder / "lazy", options);
    Writer writer(lazy, {.mode = SyncPolicy::Mode::off}, logger);
    writer.start();
    const auto job = job_of({});
    for (int i = 0; i < 20'000; ++i) job->requests.push_back(append(fmt::format("ann/{}", i)));
    submit(writer, job);
    wait_for(writer, 1);
    for (std::uint64_t i = 0; i < 20'000; ++i) BOOST_REQUIRE(job->requests[i].number == i);
    BOOST_TEST(count(lazy) == 20'000u);
}

BOOST_AUTO_TEST_CASE(an_empty_job_is_done_as_well) {
    Writer writer(store, {}, logger);
    writer.start();
    submit(writer, job_of({}));
    wait_for(writer, 1);
    BOOST_TEST(count(store) == 0u);
}

BOOST_AUTO_TEST_CASE(what_was_submitted_is_written_before_the_writer_ends) {
    {
        Writer writer(store, {}, logger);
        writer.start();
        for (int i = 0; i < 50; ++i) submit(writer, job_of({append("ann/x")}));
    }
    BOOST_TEST(count(store) == 50u);
    BOOST_TEST(done == 0);
}

BOOST_AUTO_TEST_CASE(a_full_board_refuses_and_says_so_in_the_log_once) {
    auto options = new_board();
    options.map_size = 1 << 18;
    Store small(folder / "small", options);
    Writer writer(small, {}, logger);
    writer.start();
    std::vector<std::shared_ptr<WriteJob>> jobs;
    for (int i = 0; i < 100; ++i) {
        jobs.push_back(job_of({append("ann/" + std::string(8000, 'x'))}));
        submit(writer, jobs.back());
        wait_for(writer, i + 1);
    }
    const auto stored =
        std::ranges::count_if(jobs, [](const auto& job) { return !job->requests[0].error; });
    BOOST_TEST(count(small) == static_cast<std::uint64_t>(stored));
    BOOST_TEST(stored > 10);
    BOOST_TEST(stored < 100);
    const auto text = logged();
    BOOST_TEST(text.find("the board can't be written") != std::string::npos);
    BOOST_TEST(text.find("as large as it can become (MDB_MAP_FULL); raise the limit") !=
               std::string::npos);
    BOOST_TEST(text.find("can't be written", text.find("can't be written") + 1) ==
               std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_board_that_can_only_be_read_refuses_every_message) {
    post(store, "ann/text");
    Child child([this] {
        StoreOptions options;
        options.read_only = true;
        Store reading(folder / "bb", options);
        Writer writer(reading, {}, logger);
        writer.start();
        const auto job = job_of({append("ann/a"), replace(0, "ann/b")});
        submit(writer, job);
        wait_for(writer, 1);
        const bool are_refused = job->requests[0].error == StoreError::read_only &&
                                 job->requests[1].error == StoreError::read_only;
        return are_refused && read(reading, 0) == "ann/text" ? 0 : 1;
    });
    BOOST_TEST(child.exit_code() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
