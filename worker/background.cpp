#include "worker/background.hpp"

#include <cassert>
#include <preforkd/asio.hpp>

namespace preforkd::worker {

class BackgroundTasks::Running final : private preforkd::detail::TaskObserver {
  public:
    Running(BackgroundTasks& all, task<void> background)
        : all_(all), task_(std::move(background)) {}

    void start() { task_.start(*this); }

  private:
    void task_ended(std::exception_ptr failure) noexcept override {
        if (failure) log(failure);
        all_.running_.remove_if([this](const Running& other) { return &other == this; });
    }

    void log(const std::exception_ptr& failure) const {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& exception) {
            all_.logger_.error("background task failed", {{"error", exception.what()}});
        } catch (...) {
            all_.logger_.error("background task failed", {{"error", "unknown exception"}});
        }
    }

    BackgroundTasks& all_;
    task<void> task_;
};

BackgroundTasks::BackgroundTasks(const Logger& logger) : logger_(logger) {}
BackgroundTasks::~BackgroundTasks() = default;

void BackgroundTasks::abandon_all() noexcept {
    running_.clear();
}

void BackgroundTasks::start(task<void> background) {
    running_.emplace_back(*this, std::move(background));
    running_.back().start();
}

ThisWorker& this_worker() noexcept {
    static thread_local ThisWorker mine;
    return mine;
}

}  // namespace preforkd::worker

namespace preforkd {

boost::asio::io_context::executor_type executor() {
    assert(worker::this_worker().context != nullptr);
    return worker::this_worker().context->get_executor();
}

void spawn(task<void> background) {
    assert(worker::this_worker().background != nullptr);
    worker::this_worker().background->start(std::move(background));
}

}  // namespace preforkd
