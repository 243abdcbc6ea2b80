#include "worker/services/board_writer.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <system_error>

#include "shared/exit_code.hpp"
#include "worker/services/board_batch.hpp"
#include "worker/services/board_signals.hpp"

namespace preforkd::worker::board {
namespace {

// Bounds a transaction's dirty pages, of which LMDB takes 131071, and one client's wait for others.
constexpr std::size_t max_batch = 8192;

constexpr seconds quiet_time{10};

// How long a batch waits to be as large as the last one: some of the time that a sync takes.
constexpr std::chrono::microseconds longest_gathering{500};

}  // namespace

Writer::Writer(Store& store, SyncPolicy policy, Report report, TurnLimit* limit)
    : store_(store),
      policy_(policy),
      report_(std::move(report)),
      limit_(limit),
      wake_loop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_loop_.is_open())
        throw StartupError(exit_failure, fmt::format("eventfd: {}", last_error().message()));
}

void Writer::start() {
    const SignalsBlocked blocked(all_signals());  // the process's are the event loop's
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
        throw StartupError(exit_failure,
                           fmt::format("can't start the board's writing thread: {}", error.what()));
    }
}

Writer::~Writer() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    wake_writer_.notify_one();
    if (limit_ != nullptr) limit_->lift();
    if (thread_.joinable()) thread_.join();
}

void Writer::submit(std::shared_ptr<WriteJob> job) {
    bool is_enough = false;
    {
        const std::lock_guard lock(mutex_);
        submitted_.push_back(std::move(job));
        is_enough = submitted_.size() == 1 || submitted_.size() == expected_;
    }
    if (is_enough) wake_writer_.notify_one();
}

void Writer::deliver() {
    std::uint64_t times = 0;
    static_cast<void>(::read(wake_loop_.get(), &times, sizeof times));
    Jobs done;
    error_code outcome;
    error_code cause;
    {
        const std::lock_guard lock(mutex_);
        done.swap(done_);
        outcome = outcome_;
        cause = cause_;
        reported_commits_ = commits_;
    }
    const bool is_final = is_fatal(outcome) || outcome == StoreError::sync_failed;
    if (outcome != reported_ && (is_final || Clock::now() >= quiet_until_))
        report_change(outcome, cause);
    for (const auto& job : done)
        if (job->on_done) job->on_done();
}

void Writer::tell_of_waiting(milliseconds patience) {
    {
        const std::lock_guard lock(mutex_);
        if (!waiting_since_ || Clock::now() < *waiting_since_ + patience) return;
        waiting_since_.reset();
    }
    const auto waited = std::chrono::duration_cast<std::chrono::duration<double>>(patience);
    report_(LogLevel::warning,
            fmt::format("writing has waited {:g} s for another process's turn; 'fuser -v {}' names "
                        "those that have the board open: continue (kill -CONT) or end the one that "
                        "is stopped; if none is, the disk is slow",
                        waited.count(), store_.name()));
}

void Writer::report_change(error_code outcome, error_code cause) {
    reported_ = outcome;
    quiet_until_ = Clock::now() + quiet_time;  // a nearly full disk refuses one and takes the next
    if (!outcome) return report_(LogLevel::notice, "the board is written again");
    const auto& reason = cause ? cause : outcome;
    report_(LogLevel::error, "the board can't be written: " + with_advice(reason));
    if (is_fatal(outcome)) std::abort();
    if (outcome == StoreError::sync_failed)
        report_(LogLevel::error,
                "no message is written any more: what the disk lost may be more than it says; "
                "check the disk and the board, then reload");
}

void Writer::run() {
    ::pthread_setname_np(::pthread_self(), "board-writer");
    while (wait_for_work()) take_turn();
    if (sync_at_) sync_now();
}

void Writer::take_turn() {
    if (limit_ != nullptr) limit_->begin();
    write_batch();
    if (limit_ != nullptr) limit_->end();
}

// Until there is something to write, or to sync; false when it is time to leave.
bool Writer::wait_for_work() {
    std::unique_lock lock(mutex_);
    const auto has_work = [this] { return !submitted_.empty() || !taken_.empty() || is_stopping_; };
    while (!has_work()) {
        if (!sync_at_ || policy_.mode == SyncPolicy::Mode::off) {
            wake_writer_.wait(lock);
        } else if (wake_writer_.wait_until(lock, *sync_at_) == std::cv_status::timeout) {
            lock.unlock();
            sync_now();
            lock.lock();
        }
    }
    gather(lock);
    return !submitted_.empty() || !taken_.empty();
}

// Clients that were answered together ask again together, one after the other: the first of them
// alone would cost a sync, for which all the others would wait.
void Writer::gather(std::unique_lock<std::mutex>& lock) {
    wake_writer_.wait_for(lock, longest_gathering,
                          [this] { return is_stopping_ || submitted_.size() >= expected_; });
}

// The turn comes first and the jobs are taken then, so that all that gathered while other workers
// wrote goes into this batch.
void Writer::write_batch() {
    {
        const std::lock_guard lock(mutex_);
        waiting_since_ = Clock::now();
    }
    auto transaction = Transaction::begin(store_);
    {
        const std::lock_guard lock(mutex_);
        waiting_since_.reset();
        taken_.insert(taken_.end(), std::make_move_iterator(submitted_.begin()),
                      std::make_move_iterator(submitted_.end()));
        submitted_.clear();
        expected_ = taken_.size();
    }
    if (!transaction) return fail_all(transaction.error());
    Batch batch(*transaction);
    fill(batch);
    if (batch.requests().empty()) return finish(outcome_);
    auto error = batch.put();
    if (!error) error = transaction->commit();
    if (error)
        for (WriteRequest* const request : batch.requests()) request->error = error;
    else
        after_commit();
    finish(error);
}

void Writer::fill(Batch& batch) {
    while (!taken_.empty()) {
        auto& requests = taken_.front()->requests;
        for (; next_request_ < requests.size(); ++next_request_) {
            if (batch.requests().size() == max_batch) return;
            WriteRequest& request = requests[next_request_];
            request.error = batch.take(request);
        }
        next_request_ = 0;
        written_.push_back(std::move(taken_.front()));
        taken_.pop_front();
    }
}

void Writer::fail_all(error_code error) {
    for (const auto& job : taken_) {
        for (; next_request_ < job->requests.size(); ++next_request_)
            job->requests[next_request_].error = error;
        next_request_ = 0;
        written_.push_back(job);
    }
    taken_.clear();
    finish(error);
}

void Writer::after_commit() {
    {
        const std::lock_guard lock(mutex_);
        ++commits_;
    }
    store_.announce();
    if (policy_.mode == SyncPolicy::Mode::always) return;
    if (!sync_at_) sync_at_ = Clock::now() + policy_.interval;
    if (policy_.mode == SyncPolicy::Mode::interval && Clock::now() >= *sync_at_) sync_now();
}

void Writer::sync_now() {
    sync_at_.reset();
    if (store_.sync()) finish(StoreError::sync_failed);
}

void Writer::finish(error_code outcome) {
    bool has_news = false;
    {
        const std::lock_guard lock(mutex_);
        has_news = !written_.empty() || outcome != outcome_;
        outcome_ = outcome;
        cause_ = store_.failure();
        done_.insert(done_.end(), std::make_move_iterator(written_.begin()),
                     std::make_move_iterator(written_.end()));
    }
    written_.clear();
    const std::uint64_t one = 1;
    if (has_news) static_cast<void>(::write(wake_loop_.get(), &one, sizeof one));
}

}  // namespace preforkd::worker::board
