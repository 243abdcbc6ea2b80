#pragma once

#include <any>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <preforkd/connection.hpp>
#include <preforkd/run.hpp>
#include <preforkd/service_type.hpp>
#include <preforkd/task.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/counter.hpp"
#include "shared/log_level.hpp"

// All that a program needs to become a daemon.

namespace preforkd {

class Logger;
enum class LogFormat;
class ScoreboardReader;

namespace worker {
class AccessLog;
}

/// What a service gets to know when it starts in a worker.
class ServiceContext {
  public:
    /// `options` holds the Options struct of the service, `descriptors` the files and folders that
    /// the master opened for it, by key; both and the logs outlive the service. No `access_log`:
    /// there is none.
    ServiceContext(std::string listener_name, std::any options,
                   std::map<std::string, int, std::less<>> descriptors, const Logger& logger,
                   worker::AccessLog* access_log = nullptr, ScoreboardReader* scoreboard = nullptr)
        : listener_name_(std::move(listener_name)),
          options_(std::move(options)),
          descriptors_(std::move(descriptors)),
          logger_(logger),
          access_log_(access_log),
          scoreboard_(scoreboard) {}

    /// The values of this service's keys, checked. Requires: Options is the type they declare.
    template <class Options>
    [[nodiscard]] const Options& options() const {
        return std::any_cast<const Options&>(options_);
    }

    /// What the master opened for `key` (a path with `opens`), or -1 if nothing. Stays open and
    /// belongs to the worker: dup(2) it to keep an own one.
    [[nodiscard]] int descriptor(std::string_view key) const noexcept {
        const auto found = descriptors_.find(key);
        return found == descriptors_.end() ? -1 : found->second;
    }

    /// What the file that value `number` of `key` (one with `copied`) names contained when the
    /// configuration was loaded, or nothing if there was no such file. Valid until start() returns.
    [[nodiscard]] std::optional<std::string_view> copy_of(std::string_view key,
                                                          std::size_t number = 0) const;

    /// For the worker: what copy_of() finds, by key and number.
    using Copies = std::map<std::pair<std::string, std::size_t>, std::string_view>;
    void keep_copies(Copies copies) { copies_ = std::move(copies); }

    /// NAME of the `[listen.NAME]` section.
    [[nodiscard]] const std::string& listener_name() const noexcept { return listener_name_; }

    /// The counters of the whole server, for a service that declares `reads_scoreboard`; else null.
    [[nodiscard]] ScoreboardReader* scoreboard() const noexcept { return scoreboard_; }

    /// The number that the service declared as `name` in its metrics(); lives as long as the
    /// service. Throws std::logic_error when it declared none of that kind.
    [[nodiscard]] Counter& counter(std::string_view name) const;
    [[nodiscard]] Counter& gauge(std::string_view name) const;

    /// For the worker: what counter() and gauge() find, in order of declaration.
    void keep_metrics(std::vector<Metric> metrics, std::span<Counter> counters);

    /// One line in the error log with the listener's name.
    void log(LogLevel level, std::string_view text) const;

    /// Whether there is an access log now; ask before rendering a line for it.
    [[nodiscard]] bool logs_access() const noexcept;

    /// How lines of the access log are to look.
    [[nodiscard]] LogFormat access_format() const noexcept;

    /// Adds `line`, which ends in LF and contains no other, to the access log.
    void log_access(std::string_view line) const;

  private:
    [[nodiscard]] Counter& metric(std::string_view name, Metric::Kind kind) const;

    std::vector<Metric> metrics_;
    std::span<Counter> counters_;
    std::string listener_name_;
    std::any options_;
    std::map<std::string, int, std::less<>> descriptors_;
    Copies copies_;
    const Logger& logger_;
    worker::AccessLog* access_log_;
    ScoreboardReader* scoreboard_;
};

/// A protocol. A worker makes one object for each `[listen.NAME]` section that names it; all of its
/// connections are served by one thread, so that its members need no lock, and every worker has
/// its own, so that they share nothing.
class Service {
  public:
    Service() = default;
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    virtual ~Service() = default;

    /// Runs in each worker after privileges are gone and before the first connection. `context`
    /// lives as long as the service. What it throws cancels the start or reload, with its text.
    virtual void start(ServiceContext& context) { static_cast<void>(context); }

    /// Runs in each worker after start() of all its services, once the worker has confined itself
    /// to what they declare (see SandboxNeeds): the place to start threads. What it throws counts
    /// as start()'s.
    virtual void confined() {}

    /// Serves one client; the connection ends when the task does. An exception ends it too, and is
    /// logged with the peer; it harms no other connection.
    virtual task<void> serve(Connection& client) = 0;

    /// After how long a peer is given up that acknowledges nothing of what was sent. While serve()
    /// runs its own time-outs should come first, for they end in a reset; 3 seconds later the
    /// kernel frees what the connection holds, also when serve() has long returned. Asked once,
    /// after start(). 0 = when the kernel likes, minutes later. Source: tcp(7), TCP_USER_TIMEOUT.
    [[nodiscard]] virtual std::chrono::seconds unacknowledged_limit() const noexcept {
        return std::chrono::seconds(30);
    }

    /// A client waits for which there is no descriptor or no memory: ends a connection that can be
    /// spared, such as the one that has been idle longest; false when there is none. Others are
    /// taken when one has ended.
    virtual bool make_room() { return false; }

    /// Runs in each worker after its last connection.
    virtual void stop() {}
};

}  // namespace preforkd
