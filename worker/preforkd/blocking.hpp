#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

/// What programs use of preforkd.
namespace preforkd {

namespace worker {
class BlockingPool;
}

namespace detail {

/// Something that a thread of the worker does while a coroutine waits for it. Lives in the waiting
/// frame; whoever destroys that waits until a thread that is at it has finished.
class BlockingJob {
  public:
    BlockingJob(const BlockingJob&) = delete;
    BlockingJob& operator=(const BlockingJob&) = delete;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter);

  protected:
    BlockingJob() = default;
    virtual ~BlockingJob() = default;

    /// In a thread. What it throws is given to whoever waits.
    virtual void work() = 0;

    /// Not to be begun any more, or waited for. Requires: called before what work() uses is gone.
    void withdraw() noexcept;
    void rethrow_failure() {
        if (failure_) std::rethrow_exception(std::move(failure_));
    }

  private:
    friend class worker::BlockingPool;
    enum class Stage { idle, queued, running, done };

    worker::BlockingPool* pool_ = nullptr;
    Stage stage_ = Stage::idle;  // belongs to the pool's lock
    std::coroutine_handle<> waiter_;
    std::exception_ptr failure_;
};

template <class Work>
class [[nodiscard]] Blocking final : public BlockingJob {
    using Value = std::invoke_result_t<Work&>;
    static_assert(!std::is_reference_v<Value>, "what it refers to would belong to another thread");

  public:
    explicit Blocking(Work work) : work_(std::move(work)) {}
    ~Blocking() override { withdraw(); }

    Value await_resume() {
        rethrow_failure();
        if constexpr (!std::is_void_v<Value>) return std::move(*value_);
    }

  private:
    void work() override {
        if constexpr (std::is_void_v<Value>)
            work_();
        else
            value_.emplace(work_());
    }

    Work work_;
    std::optional<std::conditional_t<std::is_void_v<Value>, bool, Value>> value_;
};

}  // namespace detail

/// So many pieces of blocking work are done at once in one worker; more wait for their turn.
inline constexpr unsigned blocking_threads = 4;

/// Does `work`, which may block (fsync(2), a hash that is meant to be slow), in a thread beside the
/// event loop, while the worker's other connections are served; gives what it returns, or throws
/// what it throws.
///
///     const auto sync = [file = file_] { return ::fdatasync(file) == 0 ? 0 : errno; };
///     const int error = co_await preforkd::blocking(sync);  // errno is each thread's own
///
/// `work` may use only what no other code touches at the same time, and nothing of Asio or of a
/// Connection. A worker that is told to leave ends after it. As with every wait that is not the
/// connection's own, flush() comes before it.
/// Throws std::logic_error in a service that doesn't declare SandboxNeeds::starts_threads,
/// std::system_error when no thread can be had.
template <class Work>
[[nodiscard]] detail::Blocking<Work> blocking(Work work) {
    return detail::Blocking<Work>(std::move(work));
}

}  // namespace preforkd
