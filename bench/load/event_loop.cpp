#include "bench/load/event_loop.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace preforkd::bench {

namespace asio = boost::asio;

EventLoop::EventLoop(Sharing sharing)
    : context_(std::make_unique<asio::io_context>(sharing == Sharing::none
                                                      ? BOOST_ASIO_CONCURRENCY_HINT_UNSAFE
                                                      : BOOST_ASIO_CONCURRENCY_HINT_DEFAULT)) {}

EventLoop::~EventLoop() = default;

void EventLoop::run() {
    const auto work = asio::make_work_guard(*context_);
    context_->run();
}

void EventLoop::stop() {
    context_->stop();
}

struct Alarm::Timer {
    Timer(asio::io_context& context, std::function<void()> what)
        : timer(context), callback(std::move(what)) {}

    asio::steady_timer timer;
    std::function<void()> callback;
};

Alarm::Alarm(EventLoop& loop, std::function<void()> callback)
    : timer_(std::make_unique<Timer>(loop.context(), std::move(callback))) {}

Alarm::~Alarm() = default;

void Alarm::set(TimePoint at) {
    timer_->timer.expires_at(at);
    timer_->timer.async_wait([timer = timer_.get()](const boost::system::error_code& error) {
        if (!error) timer->callback();
    });
}

void Alarm::set_soon() {
    asio::post(timer_->timer.get_executor(), [timer = timer_.get()] { timer->callback(); });
}

}  // namespace preforkd::bench
