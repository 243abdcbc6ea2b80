#include "bench/load/run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "bench/load/load_thread.hpp"
#include "bench/load/process_cpu.hpp"

namespace preforkd::bench {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds lead_time{20};  // for the threads to be there when the load begins

Phases phases_of(const Options& options) {
    const TimePoint start = Clock::now() + lead_time;
    const TimePoint measure = start + options.warmup;
    return {start, measure, measure + options.duration};
}

/// The part of thread `index`; the first ones take what doesn't divide.
Share share_of(const Options& options, unsigned index) {
    const auto part = [&](std::uint64_t total) {
        return total / options.threads + (index < total % options.threads ? 1 : 0);
    };
    Share share;
    share.connections = unsigned(part(options.connections));
    share.requests = part(options.requests);
    share.rate = options.rate * share.connections / options.connections;
    if (options.rate > 0) share.offset = nanoseconds(std::int64_t(1e9 * index / options.rate));
    share.seed = index + 1;
    return share;
}

class Run {
  public:
    Run(const Options& options, const Protocol& protocol, const Endpoint& endpoint)
        : options_(options),
          phases_(phases_of(options)),
          stop_signals_(loop_.context(), SIGINT, SIGTERM),
          measure_alarm_(loop_, [this] { begin_measuring(); }),
          end_alarm_(loop_, [this] { end_measuring(); }),
          progress_alarm_(loop_, [this] { show_progress(); }),
          storm_alarm_(loop_, [this] { send_signal(); }) {
        for (unsigned i = 0; i < options.threads; ++i)
            threads_.push_back(std::make_unique<LoadThread>(options, protocol, endpoint, signals_,
                                                            share_of(options, i), phases_));
    }

    Result go() {
        watch_for_signals();
        watch_for_generations();
        measure_alarm_.set(phases_.measure);
        end_alarm_.set(phases_.end);
        progress_alarm_.set(phases_.start + std::chrono::seconds(1));
        std::vector<std::jthread> running;
        left_ = options_.threads;
        for (const auto& thread : threads_)
            running.emplace_back([this, &thread] {
                thread->run();
                if (--left_ == 0) loop_.stop();
            });
        loop_.run();
        running.clear();
        return collect();
    }

  private:
    void watch_for_signals() {
        stop_signals_.async_wait([this](const boost::system::error_code& error, int) {
            if (error) return;
            signals_.interrupted = true;
            stop_signals_.clear();  // the next one ends the program
        });
    }

    void watch_for_generations() {
        if (options_.generation_header.empty()) return;
        input_.emplace(loop_.context(), ::dup(STDIN_FILENO));
        read_generation();
    }

    void read_generation() {
        asio::async_read_until(*input_, asio::dynamic_buffer(line_), '\n',
                               [this](const boost::system::error_code& error, std::size_t length) {
                                   if (error) return;
                                   signals_.serving_generation =
                                       std::strtoull(line_.c_str(), nullptr, 10);
                                   line_.erase(0, length);
                                   read_generation();
                               });
    }

    void begin_measuring() {
        server_before_ = cpu_time(options_.servers);
        client_before_ = own_cpu_time();
        if (options_.announce) fmt::print(stderr, "measuring\n");
        if (options_.storm) storm_alarm_.set(phases_.measure + options_.storm->every);
    }

    void end_measuring() {
        if (measured_) return;
        measured_ = true;
        server_after_ = cpu_time(options_.servers);
        client_after_ = own_cpu_time();
        if (options_.announce) fmt::print(stderr, "measured\n");
    }

    void send_signal() {
        const Storm& storm = *options_.storm;
        const TimePoint now = Clock::now();
        if (now >= phases_.end || signals_.interrupted) return;
        const std::size_t sent = result_.signals.size();
        if (::kill(storm.pid, storm.signals[sent % storm.signals.size()]) != 0) {
            fmt::print(stderr, "load: can't signal process {}: {}\n", storm.pid,
                       std::strerror(errno));
            return;
        }
        result_.signals.push_back(now - phases_.measure);
        storm_alarm_.set(phases_.measure + storm.every * std::int64_t(sent + 2));
    }

    void show_progress() {
        const TimePoint now = Clock::now();
        std::uint64_t answered = 0, failed = 0, tried = 0;
        for (const auto& thread : threads_) {
            answered += thread->result().answered.get();
            failed += thread->result().failed.get();
            tried += thread->connections_tried();
        }
        if (options_.announce && tried >= options_.connections && !std::exchange(announced_, true))
            fmt::print(stderr, "connected\n");
        if (!options_.quiet && ::isatty(STDERR_FILENO) == 1)
            fmt::print(stderr, "\r{:4.0f} s  {:>9} requests/s  {} failed \033[K",
                       double((now - phases_.start).count()) / 1e9,
                       answered - std::min(answered, answered_before_), failed);
        answered_before_ = answered;
        progress_alarm_.set(now + std::chrono::seconds(1));
    }

    Result collect() {
        end_measuring();
        if (!options_.quiet && ::isatty(STDERR_FILENO) == 1) fmt::print(stderr, "\r\033[K");
        TimePoint finished = phases_.measure;
        for (const auto& thread : threads_) {
            result_.tally.merge(thread->result());
            finished = std::max(finished, thread->finished_at());
        }
        result_.elapsed = std::max<nanoseconds>(finished - phases_.measure, nanoseconds(1));
        result_.client_cpu = client_after_ - client_before_;
        result_.server_cpu = server_after_ - server_before_;
        return std::move(result_);
    }

    const Options& options_;
    const Phases phases_;
    EventLoop loop_{EventLoop::Sharing::stopped_by_other_threads};
    Signals signals_;
    std::vector<std::unique_ptr<LoadThread>> threads_;
    std::atomic<unsigned> left_{0};
    asio::signal_set stop_signals_;
    std::optional<asio::posix::stream_descriptor> input_;
    std::string line_;
    Alarm measure_alarm_, end_alarm_, progress_alarm_, storm_alarm_;
    nanoseconds server_before_{0}, server_after_{0};
    nanoseconds client_before_{0}, client_after_{0};
    std::uint64_t answered_before_ = 0;
    bool announced_ = false;
    bool measured_ = false;
    Result result_;
};

}  // namespace

Result run_load(const Options& options, const Protocol& protocol, const Endpoint& endpoint) {
    Run run(options, protocol, endpoint);
    return run.go();
}

}  // namespace preforkd::bench
