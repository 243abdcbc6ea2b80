#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>
#include <preforkd/task.hpp>
#include <stdexcept>
#include <string>

using namespace preforkd;

namespace {

/// Ends when the test says so.
class Gate {
  public:
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }
    void await_resume() const noexcept {}
    void open() { std::exchange(waiter_, nullptr).resume(); }

  private:
    std::coroutine_handle<> waiter_;
};

struct Outcome final : detail::TaskObserver {
    void task_ended(std::exception_ptr thrown) noexcept override {
        ended = true;
        failure = std::move(thrown);
    }
    bool ended = false;
    std::exception_ptr failure;
};

task<int> give(int value) {
    co_return value;
}

task<int> add_up(int depth) {
    if (depth == 0) co_return 0;
    co_return depth + co_await add_up(depth - 1);
}

task<std::string> refuse(std::string why) {
    throw std::runtime_error(why);
    co_return "";
}

struct NoDefault {
    explicit NoDefault(int number) : value(std::make_unique<int>(number)) {}
    std::unique_ptr<int> value;
};
task<NoDefault> make_one() {
    co_return NoDefault(7);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(task_coroutines)

BOOST_AUTO_TEST_CASE(nothing_runs_before_a_task_is_awaited_or_started) {
    bool ran = false;
    const auto body = [](bool& flag) -> task<void> {
        flag = true;
        co_return;
    };
    task<void> lazy = body(ran);
    BOOST_TEST(!ran);
    Outcome outcome;
    lazy.start(outcome);
    BOOST_TEST(ran);
    BOOST_TEST(outcome.ended);
    BOOST_TEST(!outcome.failure);
}

BOOST_AUTO_TEST_CASE(values_come_back_through_awaits) {
    std::optional<int> sum;
    const auto body = [](std::optional<int>& result) -> task<void> {
        const int two = co_await give(2);
        const NoDefault seven = co_await make_one();
        result = two + *seven.value;
    };
    Outcome outcome;
    task<void> whole = body(sum);
    whole.start(outcome);
    BOOST_REQUIRE(sum.has_value());
    BOOST_TEST(*sum == 9);
}

BOOST_AUTO_TEST_CASE(a_deep_chain_needs_no_deep_stack_to_come_back) {
    int sum = 0;
    const auto body = [](int& result) -> task<void> { result = co_await add_up(1000); };
    Outcome outcome;
    task<void> whole = body(sum);
    whole.start(outcome);
    BOOST_TEST(sum == 500500);
}

BOOST_AUTO_TEST_CASE(exceptions_travel_to_who_awaits_and_then_to_the_observer) {
    std::string caught;
    const auto body = [](std::string& text) -> task<void> {
        try {
            static_cast<void>(co_await refuse("first"));
        } catch (const std::runtime_error& error) {
            text = error.what();
        }
        static_cast<void>(co_await refuse("second"));
    };
    Outcome outcome;
    task<void> whole = body(caught);
    whole.start(outcome);
    BOOST_TEST(caught == "first");
    BOOST_REQUIRE(outcome.failure);
    BOOST_CHECK_THROW(std::rethrow_exception(outcome.failure), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(destroying_a_waiting_task_destroys_what_it_holds) {
    Gate gate;
    const auto held = std::make_shared<int>(1);
    const auto inner = [](Gate& wait, std::shared_ptr<int> copy) -> task<void> {
        co_await wait;
        *copy = 2;
    };
    const auto outer = [&inner](Gate& wait, std::shared_ptr<int> copy) -> task<void> {
        co_await inner(wait, copy);
    };
    Outcome outcome;
    task<void> whole = outer(gate, held);
    whole.start(outcome);
    BOOST_TEST(held.use_count() == 3);
    whole.reset();
    BOOST_TEST(held.use_count() == 1);
    BOOST_TEST(!outcome.ended);
}

BOOST_AUTO_TEST_CASE(an_observer_may_destroy_the_task_that_ended) {
    struct Owner final : detail::TaskObserver {
        void task_ended(std::exception_ptr) noexcept override { owned.reset(); }
        task<void> owned;
    };
    Gate gate;
    const auto body = [](Gate& wait) -> task<void> { co_await wait; };
    Owner owner;
    owner.owned = body(gate);
    owner.owned.start(owner);
    gate.open();
}

#if !defined(__SANITIZE_ADDRESS__)
BOOST_AUTO_TEST_CASE(memory_of_a_frame_is_used_again) {
    void* const first = detail::allocate_frame(200);
    detail::release_frame(first, 200);
    void* const second = detail::allocate_frame(205);  // the same size class
    BOOST_TEST(first == second);
    detail::release_frame(second, 220);
}
#endif

BOOST_AUTO_TEST_CASE(frames_of_every_size_can_be_had_and_released) {
    for (std::size_t size = 1; size <= 3000; size += 7) {
        void* const frame = detail::allocate_frame(size);
        static_cast<char*>(frame)[size - 1] = 'x';
        detail::release_frame(frame, size);
    }
    BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
