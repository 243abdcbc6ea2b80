#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace preforkd {

template <class T = void>
class task;

namespace detail {

/// Memory for coroutine frames and sessions, from a free list of this thread when the size is
/// small. Throws std::bad_alloc.
[[nodiscard]] void* allocate_frame(std::size_t size);

/// Gives back what allocate_frame(size) gave, on the same thread or another.
void release_frame(void* frame, std::size_t size) noexcept;

/// Hears when a task that nobody awaits has ended.
class TaskObserver {
  public:
    /// `failure` is what the coroutine threw, or null. May destroy the task.
    virtual void task_ended(std::exception_ptr failure) noexcept = 0;

  protected:
    ~TaskObserver() = default;
};

/// What tasks of every type share: who goes on when the coroutine has ended.
class TaskPromise {
  public:
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, std::size_t size) noexcept {
        release_frame(frame, size);
    }

    std::suspend_always initial_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept { failure_ = std::current_exception(); }

    void resume_when_done(std::coroutine_handle<> awaiting) noexcept {
        next_ = reinterpret_cast<std::uintptr_t>(awaiting.address());
    }
    void tell_when_done(TaskObserver& observer) noexcept {
        next_ = reinterpret_cast<std::uintptr_t>(&observer) | observer_bit;
    }

    struct FinalAwaiter {
        bool await_ready() noexcept { return false; }
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) noexcept {
            return ended.promise().hand_over();
        }
        void await_resume() noexcept {}
    };
    FinalAwaiter final_suspend() noexcept { return {}; }

  protected:
    void rethrow_failure() {
        if (failure_) std::rethrow_exception(std::move(failure_));
    }

  private:
    static constexpr std::uintptr_t observer_bit = 1;

    // The frame may be gone when the observer returns, so nothing of it is touched afterwards.
    std::coroutine_handle<> hand_over() noexcept {
        if ((next_ & observer_bit) == 0)
            return std::coroutine_handle<>::from_address(reinterpret_cast<void*>(next_));
        auto* const observer = reinterpret_cast<TaskObserver*>(next_ & ~observer_bit);
        observer->task_ended(std::move(failure_));
        return std::noop_coroutine();
    }

    // The coroutine that goes on, or with the lowest bit set, which no address has, the observer.
    // One word instead of two: every suspended coroutine of every connection has this.
    std::uintptr_t next_ = 0;
    std::exception_ptr failure_;
};

template <class T>
class TaskResult : public TaskPromise {
  public:
    TaskResult() noexcept {}
    TaskResult(const TaskResult&) = delete;
    TaskResult& operator=(const TaskResult&) = delete;
    ~TaskResult() {
        if (has_value_) std::destroy_at(std::addressof(value_));
    }

    template <class From>
    requires std::is_convertible_v<From&&, T>
    void return_value(From&& value) noexcept(std::is_nothrow_constructible_v<T, From&&>) {
        std::construct_at(std::addressof(value_), std::forward<From>(value));
        has_value_ = true;
    }

    T take() {
        rethrow_failure();
        return std::move(value_);
    }

  private:
    union {
        T value_;
    };
    bool has_value_ = false;
};

template <>
class TaskResult<void> : public TaskPromise {
  public:
    void return_void() noexcept {}
    void take() { rethrow_failure(); }
};

}  // namespace detail

/// A coroutine that starts when it is first awaited and gives a T, or throws what its body threw.
/// Awaiting another task costs no allocation but that task's own frame, which is pooled.
/// A coroutine's parameters are copied into its frame; what it takes by reference must outlive it.
template <class T>
class [[nodiscard]] task {
  public:
    struct promise_type : detail::TaskResult<T> {
        task get_return_object() noexcept {
            return task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
    };

    task() noexcept = default;
    task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            reset();
            coroutine_ = std::exchange(other.coroutine_, nullptr);
        }
        return *this;
    }
    ~task() { reset(); }

    /// Ends the coroutine where it is suspended: what lives in its frame is destroyed.
    void reset() noexcept {
        if (const auto coroutine = std::exchange(coroutine_, nullptr)) coroutine.destroy();
    }

    struct Awaiter {
        std::coroutine_handle<promise_type> coroutine;

        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
            coroutine.promise().resume_when_done(awaiting);
            return coroutine;
        }
        T await_resume() { return coroutine.promise().take(); }
    };
    Awaiter operator co_await() && noexcept { return {coroutine_}; }

    /// Runs the coroutine up to its first wait; `observer` hears of its end, maybe before this
    /// returns. The task must be kept until then.
    void start(detail::TaskObserver& observer) {
        coroutine_.promise().tell_when_done(observer);
        coroutine_.resume();
    }

  private:
    explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

    std::coroutine_handle<promise_type> coroutine_;
};

}  // namespace preforkd
