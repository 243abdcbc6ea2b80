#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "shared/result.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"
#include "worker/services/board_report.hpp"
#include "worker/services/board_store.hpp"
#include "worker/services/board_turn_limit.hpp"

namespace preforkd::worker::board {

class Batch;

/// When the disk is waited for.
struct SyncPolicy {
    enum class Mode : std::uint8_t {
        always,    ///< before a message is acknowledged: nothing acknowledged is ever lost
        interval,  ///< this often: loss of power may cost that much, or damage the file
        off,       ///< when the kernel likes: loss of power may cost minutes, or damage the file
    };
    Mode mode = Mode::always;
    milliseconds interval{100};
};

/// One message to write, and what became of it.
struct WriteRequest {
    std::string text;  ///< `poster/message`
    std::optional<std::uint64_t> replaces;
    std::uint64_t number = 0;  ///< result: what it is stored under
    error_code error;          ///< result: why it is not
};

/// What one client wants written, in this order. Belongs to the writer from submit() until
/// `on_done`, which runs in the thread that calls deliver().
struct WriteJob {
    std::vector<WriteRequest> requests;
    std::function<void()> on_done;
};

/// Writes for all connections of a worker in a thread of its own, so that the event loop waits
/// neither for the disk nor for other workers' turns. Whatever gathers while it waits goes into one
/// transaction and one sync. All functions are for the loop's thread.
class Writer {
  public:
    /// `store`, and `limit` if there is one, outlive the writer. Throws StartupError.
    Writer(Store& store, SyncPolicy policy, Report report, TurnLimit* limit = nullptr);

    /// Starts the thread, in which all signals are blocked. Before it nothing is written. Throws
    /// StartupError.
    void start();

    /// Writes what was submitted and waits for the disk; nothing is delivered any more.
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void submit(std::shared_ptr<WriteJob> job);

    /// Readable when deliver() has something to do.
    [[nodiscard]] int descriptor() const noexcept { return wake_loop_.get(); }

    /// Runs `on_done` of every job that is done, and logs when writing begins to fail or works
    /// again. Aborts the process when LMDB has given up: the board can only be read anew.
    void deliver();

    /// Logs, once of each turn, that it has been waited for longer than `patience`: a process that
    /// is stopped in its turn may have no limit. To be called now and then while anything waits.
    void tell_of_waiting(milliseconds patience);

    /// Transactions that were committed, as of the last deliver().
    [[nodiscard]] std::uint64_t commits() const noexcept { return reported_commits_; }

  private:
    using Jobs = std::deque<std::shared_ptr<WriteJob>>;

    void run();
    [[nodiscard]] bool wait_for_work();
    void gather(std::unique_lock<std::mutex>& lock);
    void take_turn();
    void write_batch();
    void fill(Batch& batch);
    void fail_all(error_code error);
    void after_commit();
    void sync_now();
    void finish(error_code outcome);
    void report_change(error_code outcome, error_code cause);

    Store& store_;
    const SyncPolicy policy_;
    const Report report_;
    TurnLimit* const limit_;
    UniqueFd wake_loop_;

    // Of the writing thread.
    Jobs taken_;
    std::size_t next_request_ = 0;  // of taken_.front(); those before it have been written
    Jobs written_;
    std::optional<TimePoint> sync_at_;  // something was committed that no sync has covered

    // Between the two.
    std::mutex mutex_;
    std::condition_variable wake_writer_;
    Jobs submitted_;
    std::size_t expected_ = 0;  ///< jobs, as many as the last batch had
    Jobs done_;
    error_code outcome_;  // of the newest attempt to write; the writing thread reads it unlocked
    error_code cause_;    // what the disk said, if it failed
    std::uint64_t commits_ = 0;
    bool is_stopping_ = false;
    std::optional<TimePoint> waiting_since_;  ///< for a turn; none once that was told, too

    // Of the loop's thread.
    error_code reported_;
    std::uint64_t reported_commits_ = 0;
    TimePoint quiet_until_;

    std::thread thread_;
};

}  // namespace preforkd::worker::board
