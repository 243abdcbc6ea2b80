#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <preforkd/blocking.hpp>
#include <thread>
#include <vector>

#include "shared/unique_fd.hpp"

namespace preforkd::worker {

/// The threads of a worker for work that blocks. They start when there is work and end with the
/// pool. Nothing of the event loop is touched by them but a descriptor that wakes it.
class BlockingPool {
    using Job = preforkd::detail::BlockingJob;

  public:
    /// Throws std::system_error when there is no descriptor left.
    BlockingPool();
    ~BlockingPool();
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    /// Readable when deliver() has something to do.
    [[nodiscard]] int descriptor() const noexcept { return done_event_.get(); }

    /// Resumes those whose work is done.
    void deliver();

    /// Queues `job`. Throws std::system_error when no thread can be had.
    void start(Job& job, std::coroutine_handle<> waiter);
    void withdraw(Job& job) noexcept;

  private:
    using Lock = std::unique_lock<std::mutex>;

    void add_thread_if_needed();
    void run();
    void do_one(Lock& lock);
    Job* take_done();

    UniqueFd done_event_;
    std::mutex mutex_;
    std::condition_variable queued_changed_;
    std::condition_variable job_done_;
    std::deque<Job*> queued_;
    std::deque<Job*> done_;
    std::size_t idle_ = 0;
    bool ending_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace preforkd::worker
