#pragma once

#include <list>
#include <preforkd/task.hpp>

#include "shared/log.hpp"

namespace boost::asio {
class io_context;
}

namespace preforkd::worker {

class BlockingPool;

/// The tasks of a worker that serve no connection.
class BackgroundTasks {
  public:
    explicit BackgroundTasks(const Logger& logger);
    ~BackgroundTasks();
    BackgroundTasks(const BackgroundTasks&) = delete;
    BackgroundTasks& operator=(const BackgroundTasks&) = delete;

    void start(task<void> background);

    /// Destroys what still runs.
    void abandon_all() noexcept;

  private:
    class Running;

    const Logger& logger_;
    std::list<Running> running_;
};

/// What preforkd::executor(), spawn() and blocking() find; null outside a worker.
struct ThisWorker {
    boost::asio::io_context* context = nullptr;
    BackgroundTasks* background = nullptr;
    BlockingPool* blocking = nullptr;  ///< null as well where no service has declared threads
};
[[nodiscard]] ThisWorker& this_worker() noexcept;

}  // namespace preforkd::worker
