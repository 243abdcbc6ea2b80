#include "worker/engine.hpp"

#include <poll.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <preforkd/service.hpp>
#include <vector>

#include "worker/acceptor.hpp"
#include "worker/background.hpp"
#include "worker/blocking_pool.hpp"
#include "worker/session_group.hpp"

namespace preforkd::worker {
namespace {

bool has_input(int descriptor) noexcept {
    pollfd question{descriptor, POLLIN, 0};
    return ::poll(&question, 1, 0) > 0;
}

/// Calls back whenever its descriptor is readable, whether or not all of it was read.
class Watcher : public Readiness<Watcher> {
  public:
    Watcher(SessionGroup& group, int descriptor, std::function<void()> on_readable)
        : group_(group), descriptor_(descriptor), on_readable_(std::move(on_readable)) {}

    // Throws std::system_error when epoll doesn't take the descriptor.
    void start() {
        const error_code error = wait(group_.reactor(), descriptor_, Interest::readable);
        if (error) throw boost::system::system_error(error, "watch a descriptor");
    }

    void on_ready() {
        if (stopped_) return;
        on_readable_();
        if (stopped_) return;
        if (has_input(descriptor_))
            boost::asio::post(group_.context(), [this] { on_ready(); });
        else
            start();
    }

    void stop() noexcept {
        if (std::exchange(stopped_, true)) return;
        leave(group_.reactor(), descriptor_);
    }

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    [[nodiscard]] bool stopped() const noexcept { return stopped_; }

  private:
    SessionGroup& group_;
    int descriptor_;
    std::function<void()> on_readable_;
    bool stopped_ = false;
};

}  // namespace

struct Engine::Parts {
    Parts(const Logger& log, Ticking ticking)
        : logger(log),
          context(std::make_unique<boost::asio::io_context>(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE)),
          work(context->get_executor()),
          group(*context, log, ticking),
          background(log) {
        this_worker() = {context.get(), &background, nullptr};
    }
    ~Parts() { this_worker() = {}; }

    void resume_acceptors() {
        for (const auto& acceptor : acceptors) acceptor->resume();
    }

    void on_tick() {
        report_room();
        resume_acceptors();
        if (on_empty && group.wheel().now() >= drain_until) end_drain_by_force();
        if (tick_callback) tick_callback();
    }

    // Full at once, room only by the clock: a worker at its limit goes to and fro all the time.
    void report_full() {
        if (!std::exchange(full, true) && on_full) on_full(true);
    }
    void report_room() {
        const auto paused = [](const auto& acceptor) { return acceptor->paused(); };
        if (!full || std::any_of(acceptors.begin(), acceptors.end(), paused)) return;
        full = false;
        if (on_full) on_full(false);
    }

    void end_drain_by_force();
    void check_empty();
    void report_empty();

    const Logger& logger;
    std::unique_ptr<boost::asio::io_context> context;
    // A loop without work would be stopped for good.
    std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work;
    SessionGroup group;
    BackgroundTasks background;
    std::unique_ptr<BlockingPool> blocking;
    std::vector<std::unique_ptr<Acceptor>> acceptors;
    std::vector<std::unique_ptr<Watcher>> watchers;
    std::function<void()> tick_callback;
    std::function<void()> on_empty;
    std::function<void(bool)> on_full;
    Tick drain_until = never;
    bool full = false;
    bool accepting = false;
};

// Waits of sessions end at once, their services get one more tick to return, and what then
// remains, waiting for something else, goes with the process.
void Engine::Parts::end_drain_by_force() {
    if (accepting) return;
    if (group.is_cut()) return report_empty();
    logger.warning("drain timed out; connections cut", {{"connections", group.size()}});
    group.cut();
}

void Engine::Parts::check_empty() {
    if (on_empty && !accepting && group.size() == 0) report_empty();
}

// Posted, because this may be deep in the call that ended the last session.
void Engine::Parts::report_empty() {
    group.withdraw_reason_to_tick();
    boost::asio::post(*context, std::exchange(on_empty, nullptr));
}

Engine::Engine(const Logger& logger, Ticking ticking)
    : parts_(std::make_unique<Parts>(logger, ticking)) {
    parts_->group.on_tick([parts = parts_.get()] { parts->on_tick(); });
    parts_->group.on_full([parts = parts_.get()] { parts->report_full(); });
    parts_->group.on_session_end([parts = parts_.get()] {
        parts->resume_acceptors();
        parts->check_empty();
    });
}

// First what uses the io_context, then it, then what its pending operations are part of.
Engine::~Engine() {
    for (const auto& acceptor : parts_->acceptors) acceptor->close();
    for (const auto& watcher : parts_->watchers) watcher->stop();
    parts_->background.abandon_all();
    parts_->group.abandon_all();
    parts_->work.reset();
    parts_->context.reset();
}

void Engine::be_watched(OwnPage page, UniqueFd timer) {
    parts_->group.use(std::move(page));
    parts_->group.use(DeadManSwitch(std::move(timer)));
}

WorkerPage& Engine::page() noexcept {
    return parts_->group.page().page();
}

SectionCounters& Engine::counters(std::size_t section) noexcept {
    return parts_->group.page().section(section);
}

void Engine::on_requests(std::uint64_t limit, std::function<void()> callback) {
    parts_->group.on_requests(limit, std::move(callback));
}

void Engine::add_listener(ListenerSetup setup) {
    Listener listener;
    listener.name = std::move(setup.name);
    listener.service_name = std::move(setup.service_name);
    listener.service = setup.service;
    listener.counters = &counters(setup.section);
    parts_->acceptors.push_back(
        std::make_unique<Acceptor>(parts_->group, std::move(listener), std::move(setup.socket)));
}

void Engine::start_accepting() {
    parts_->accepting = true;
    for (const auto& acceptor : parts_->acceptors) acceptor->start();
}

void Engine::adopt(UniqueFd connection, std::size_t listener) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getpeername(connection.get(), reinterpret_cast<sockaddr*>(&address), &size);
    parts_->group.start(std::move(connection), PeerAddress(address),
                        parts_->acceptors.at(listener)->listener());
}

void Engine::watch(int descriptor, std::function<void()> on_readable) {
    auto& watchers = parts_->watchers;
    watchers.push_back(
        std::make_unique<Watcher>(parts_->group, descriptor, std::move(on_readable)));
    watchers.back()->start();
}

// The watcher stays: its last wait has yet to come back.
void Engine::unwatch(int descriptor) {
    for (const auto& watcher : parts_->watchers)
        if (watcher->descriptor() == descriptor) watcher->stop();
}

void Engine::offer_threads() {
    if (parts_->blocking) return;
    parts_->blocking = std::make_unique<BlockingPool>();
    this_worker().blocking = parts_->blocking.get();
    watch(parts_->blocking->descriptor(), [pool = parts_->blocking.get()] { pool->deliver(); });
}

void Engine::drain(DrainRules rules, std::function<void()> on_empty) {
    Parts& parts = *parts_;
    if (parts.group.draining()) return;
    parts.on_empty = std::move(on_empty);
    parts.drain_until = parts.group.wheel().now() + ticks_for(rules.timeout);
    parts.group.add_reason_to_tick();
    parts.group.drain(rules.grace);
    if (!rules.keep_accepting) stop_accepting();
}

void Engine::stop_accepting(Queue queue) {
    for (const auto& acceptor : parts_->acceptors) acceptor->stop(queue);
    parts_->accepting = false;
    parts_->check_empty();
}

void Engine::stop_accepting(std::size_t listener, Queue queue) {
    parts_->acceptors.at(listener)->stop(queue);
    const auto is_open = [](const auto& acceptor) { return acceptor->is_open(); };
    const auto& acceptors = parts_->acceptors;
    if (std::any_of(acceptors.begin(), acceptors.end(), is_open)) return;
    parts_->accepting = false;
    parts_->check_empty();
}

std::size_t Engine::listener_count() const noexcept {
    return parts_->acceptors.size();
}

void Engine::on_full(std::function<void(bool)> callback) {
    parts_->on_full = std::move(callback);
}

void Engine::on_deaf(const std::function<void()>& callback) {
    for (const auto& acceptor : parts_->acceptors) acceptor->on_deaf(callback);
}

void Engine::run() {
    while (!parts_->context->stopped()) {
        try {
            parts_->context->run();
        } catch (const std::exception& exception) {
            // Not from a session: those catch their own. A callback that a service gave to Asio.
            parts_->logger.error("exception in the event loop", {{"error", exception.what()}});
        }
    }
}

void Engine::stop() {
    parts_->context->stop();
}
std::size_t Engine::poll() {
    return parts_->context->poll();
}
std::size_t Engine::run_one() {
    return parts_->context->run_one();
}
void Engine::tick() {
    parts_->group.tick();
}

std::size_t Engine::session_count() const noexcept {
    return parts_->group.size();
}
std::uint64_t Engine::accepted_count() const noexcept {
    return parts_->group.started();
}
std::uint64_t Engine::request_count() const noexcept {
    return parts_->group.requests();
}

void Engine::on_tick(std::function<void()> callback) {
    parts_->tick_callback = std::move(callback);
}

boost::asio::io_context& Engine::context() noexcept {
    return *parts_->context;
}

}  // namespace preforkd::worker
