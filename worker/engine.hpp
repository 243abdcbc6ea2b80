#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "shared/log.hpp"
#include "shared/result.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"
#include "worker/counting.hpp"

namespace boost::asio {
class io_context;
}

namespace preforkd {
class Service;
}

namespace preforkd::worker {

/// One listening socket and what serves its connections.
struct ListenerSetup {
    UniqueFd socket;             ///< listening and non-blocking
    std::string name;            ///< NAME of `[listen.NAME]`
    std::string service_name;    ///< for log lines
    Service* service = nullptr;  ///< outlives the engine's run
    std::size_t section = 0;     ///< which of the page's sections counts its connections
};

/// What becomes of the connections that wait at a listener when it stops.
enum class Queue {
    taken,  ///< they are accepted first
    left,   ///< another worker accepts from the same socket
};

/// How an engine that leaves does so.
struct DrainRules {
    seconds timeout{30};          ///< after this, connections that remain are cut
    seconds grace{2};             ///< how long an idle connection may still send a request
    bool keep_accepting = false;  ///< until stop_accepting(): the kernel still steers clients here
};

/// What moves the coarse clock.
enum class Ticking {
    by_timer,  ///< once a second, while there is something to watch
    by_hand,   ///< tick() alone: for tests
};

/// The event loop of one worker: its listeners, its connections, its clock. Not the handshake with
/// the master, which its owner does with watch(). Single-threaded.
class Engine {
  public:
    /// `logger` outlives the engine. Throws std::system_error when epoll can't be had.
    explicit Engine(const Logger& logger, Ticking ticking = Ticking::by_timer);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    /// Counts into `page`, and `timer` (see DeadManSwitch) goes off when the loop stands still.
    /// Before any listener is added.
    void be_watched(OwnPage page, UniqueFd timer);
    [[nodiscard]] WorkerPage& page() noexcept;
    /// The counters of a section; they stay where they are.
    [[nodiscard]] SectionCounters& counters(std::size_t section) noexcept;

    /// Adds a listener; nothing is accepted before start_accepting().
    void add_listener(ListenerSetup setup);
    void start_accepting();

    /// Serves a connection that someone else accepted; `listener` is an index in the order of
    /// add_listener(). For tests and for handed-over connections.
    void adopt(UniqueFd connection, std::size_t listener = 0);

    /// Calls `on_readable` whenever `descriptor` (non-blocking, stays the caller's, open until
    /// unwatch() or the engine's end) has something to read or was closed by its other end.
    void watch(int descriptor, std::function<void()> on_readable);
    void unwatch(int descriptor);

    /// From now on services may use blocking(); threads start when they do. Throws
    /// std::system_error when there is no descriptor left.
    void offer_threads();

    /// Tells the services that the worker leaves, and stops accepting unless `keep_accepting`.
    /// What is queued at listeners is taken. Calls `on_empty` (once, from the loop) when accepting
    /// has stopped and the last connection has gone, at the latest a second or two after
    /// `rules.timeout`.
    void drain(DrainRules rules, std::function<void()> on_empty);

    /// Closes all listeners.
    void stop_accepting(Queue queue = Queue::taken);
    /// Closes one; does nothing if it is closed.
    void stop_accepting(std::size_t listener, Queue queue);
    [[nodiscard]] std::size_t listener_count() const noexcept;

    /// Calls `callback` with true when a listener has to stop for want of descriptors or memory,
    /// and with false, up to a second late, when all can accept again.
    void on_full(std::function<void(bool)> callback);

    /// Calls `callback` when a listening socket doesn't listen any more: somebody who has it too
    /// has shut it down. Requires: all listeners are added.
    void on_deaf(const std::function<void()>& callback);

    /// Serves until stop(). Exceptions of services don't come out here.
    void run();
    void stop();

    /// Runs what is ready and returns, or waits for one event; for tests.
    std::size_t poll();
    std::size_t run_one();

    /// Lets one second of the coarse clock pass now; for tests.
    void tick();

    [[nodiscard]] std::size_t session_count() const noexcept;
    [[nodiscard]] std::uint64_t accepted_count() const noexcept;
    [[nodiscard]] std::uint64_t request_count() const noexcept;

    /// Calls `callback` once, in the middle of serving the request that makes it that many.
    void on_requests(std::uint64_t limit, std::function<void()> callback);

    /// Calls `callback` once a second while there are connections, after what is due then.
    void on_tick(std::function<void()> callback);

    [[nodiscard]] boost::asio::io_context& context() noexcept;

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace preforkd::worker
