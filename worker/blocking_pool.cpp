#include "worker/blocking_pool.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <cstdint>
#include <stdexcept>

#include "shared/result.hpp"
#include "worker/background.hpp"

namespace preforkd::worker {

BlockingPool::BlockingPool() : done_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!done_event_.is_open())
        throw boost::system::system_error(last_error(), "eventfd for blocking work");
}

BlockingPool::~BlockingPool() {
    {
        const Lock lock(mutex_);
        ending_ = true;
    }
    queued_changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void BlockingPool::start(Job& job, std::coroutine_handle<> waiter) {
    const Lock lock(mutex_);
    queued_.push_back(&job);
    try {
        add_thread_if_needed();
    } catch (...) {
        queued_.pop_back();
        throw;
    }
    job.pool_ = this;
    job.waiter_ = waiter;
    job.stage_ = Job::Stage::queued;
    queued_changed_.notify_one();
}

void BlockingPool::add_thread_if_needed() {
    if (queued_.size() <= idle_ || threads_.size() == blocking_threads) return;
    try {
        threads_.emplace_back([this] { run(); });
    } catch (const std::system_error&) {
        if (threads_.empty()) throw;  // else those that there are will come to it
    }
}

void BlockingPool::run() {
    Lock lock(mutex_);
    for (;;) {
        ++idle_;
        queued_changed_.wait(lock, [this] { return ending_ || !queued_.empty(); });
        --idle_;
        if (ending_) return;
        do_one(lock);
    }
}

void BlockingPool::do_one(Lock& lock) {
    Job& job = *queued_.front();
    queued_.pop_front();
    job.stage_ = Job::Stage::running;
    lock.unlock();
    std::exception_ptr failure;
    try {
        job.work();
    } catch (...) {
        failure = std::current_exception();
    }
    lock.lock();
    job.failure_ = std::move(failure);
    job.stage_ = Job::Stage::done;
    done_.push_back(&job);
    job_done_.notify_all();
    const std::uint64_t one = 1;
    // Fails only when it would overflow, and then the loop is being woken already.
    (void)!::write(done_event_.get(), &one, sizeof one);
}

BlockingPool::Job* BlockingPool::take_done() {
    const Lock lock(mutex_);
    if (done_.empty()) return nullptr;
    Job* const job = done_.front();
    done_.pop_front();
    job->stage_ = Job::Stage::idle;
    return job;
}

// One by one, for the one that is resumed may destroy another.
void BlockingPool::deliver() {
    std::uint64_t count = 0;
    (void)!::read(done_event_.get(), &count, sizeof count);
    while (Job* const job = take_done()) job->waiter_.resume();
}

void BlockingPool::withdraw(Job& job) noexcept {
    Lock lock(mutex_);
    job_done_.wait(lock, [&] { return job.stage_ != Job::Stage::running; });
    std::erase(queued_, &job);
    std::erase(done_, &job);
    job.stage_ = Job::Stage::idle;
}

}  // namespace preforkd::worker

namespace preforkd::detail {

void BlockingJob::await_suspend(std::coroutine_handle<> waiter) {
    worker::BlockingPool* const pool = worker::this_worker().blocking;
    if (pool == nullptr)
        throw std::logic_error(
            "blocking() in a service that doesn't declare SandboxNeeds::starts_threads");
    pool->start(*this, waiter);
}

void BlockingJob::withdraw() noexcept {
    if (pool_ != nullptr) pool_->withdraw(*this);
}

}  // namespace preforkd::detail
