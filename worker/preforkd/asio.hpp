#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <coroutine>
#include <optional>
#include <preforkd/task.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

// All of Asio, for services that need more than their client: timers, outgoing connections.
//
//     boost::asio::ip::tcp::socket backend(preforkd::executor());
//     const error_code error = co_await backend.async_connect(address, preforkd::use_task);
//     const auto [failed, size] = co_await backend.async_read_some(buffer, preforkd::use_task);
//
// What a service has written for its client leaves before such a wait only after flush(), and views
// of received bytes don't survive it.

namespace preforkd {

/// The event loop of the worker that this thread runs, from a service's construction to its end.
/// Requires: called in a worker's thread.
[[nodiscard]] boost::asio::io_context::executor_type executor();

/// Runs `background` beside the connections until it ends, or the worker does. What it throws is
/// logged. For tasks that serve no client in particular.
void spawn(task<void> background);

/// Completion token: the asynchronous operation becomes something to co_await in a task. It gives
/// what the handler would get, error codes included: nothing, the value, or a std::tuple of them.
struct use_task_t {};
inline constexpr use_task_t use_task;

namespace detail {

/// An Asio operation that starts when it is awaited. Its state lives in the awaiting frame.
template <class Initiation, class Arguments, class... Results>
class AsioOperation {
  public:
    AsioOperation(Initiation&& initiation, Arguments&& arguments)
        : initiation_(std::move(initiation)), arguments_(std::move(arguments)) {}

    bool await_ready() const noexcept { return false; }

    void await_suspend(std::coroutine_handle<> waiter) {
        std::apply(
            [&](auto&... arguments) {
                std::move(initiation_)(Handler(*this, waiter), std::move(arguments)...);
            },
            arguments_);
    }

    auto await_resume() {
        if constexpr (sizeof...(Results) == 1)
            return std::get<0>(std::move(*results_));
        else if constexpr (sizeof...(Results) > 1)
            return std::move(*results_);
    }

  private:
    class Handler {
      public:
        Handler(AsioOperation& operation, std::coroutine_handle<> waiter) noexcept
            : operation_(&operation), waiter_(waiter) {}

        template <class... Values>
        void operator()(Values&&... values) {
            operation_->results_.emplace(std::forward<Values>(values)...);
            waiter_.resume();
        }

      private:
        AsioOperation* operation_;
        std::coroutine_handle<> waiter_;
    };

    Initiation initiation_;
    Arguments arguments_;
    std::optional<std::tuple<Results...>> results_;
};

}  // namespace detail
}  // namespace preforkd

/// @cond
// Source: Boost.Asio, "Requirements on asynchronous operations", async_result.
template <class... Results>
class boost::asio::async_result<preforkd::use_task_t, void(Results...)> {
  public:
    template <class Initiation, class... Arguments>
    static auto initiate(Initiation initiation, preforkd::use_task_t, Arguments... arguments) {
        using Operation = preforkd::detail::AsioOperation<Initiation, std::tuple<Arguments...>,
                                                          std::decay_t<Results>...>;
        return Operation(std::move(initiation), std::tuple<Arguments...>(std::move(arguments)...));
    }
};
/// @endcond
