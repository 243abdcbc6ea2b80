#pragma once

#include <memory>
#include <vector>

#include "bench/load/connection.hpp"
#include "bench/load/event_loop.hpp"
#include "bench/load/pacer.hpp"

namespace preforkd::bench {

/// When the phases of a run begin, the same for all its threads.
struct Phases {
    TimePoint start;
    TimePoint measure;  ///< end of the warm-up
    TimePoint end;      ///< nothing is sent any more; what is under way may still be answered
};

/// What threads share while they run.
struct Signals {
    std::atomic<std::uint64_t> serving_generation{0};
    std::atomic<bool> interrupted{false};
};

/// One thread's share of the load.
class LoadThread final : public Crew {
  public:
    LoadThread(const Options& run_options, const Protocol& run_protocol, const Endpoint& server,
               Signals& signals, const Share& share, const Phases& phases);
    ~LoadThread() override;

    /// Makes the load; returns when the last request has its answer or has failed.
    void run();

    /// Its counters may be read at any time, the rest of it after run().
    [[nodiscard]] const Tally& result() const noexcept { return tally; }

    /// How many of its connections have been through a first request. At any time.
    [[nodiscard]] std::uint64_t connections_tried() const noexcept { return tried_.get(); }

    /// When run() ended, or the time was over, whichever came first. After run().
    [[nodiscard]] TimePoint finished_at() const noexcept { return finished_at_; }

  private:
    bool may_send() override;
    void on_free(Connection& connection, TimePoint now, bool pause) override;
    void begin();
    void launch_some(TimePoint now);
    void launch_next(TimePoint now);
    void tick();
    void stop();
    void leave_if_done();

    Signals& signals_;
    const Share share_;
    const Phases phases_;
    EventLoop loop_;
    std::unique_ptr<Pacer> pacer_;
    DelayPacer
        penalty_box_;  // a connection that could not be made is tried again only after a pause
    std::vector<std::unique_ptr<Connection>> connections_;
    std::size_t launched_ = 0;
    std::size_t in_flight_ = 0;
    std::uint64_t budget_;  // requests that may still be sent
    bool stopping_ = false;
    Counter tried_;
    TimePoint finished_at_;
    Alarm start_alarm_, measure_alarm_, end_alarm_, tick_alarm_;
};

}  // namespace preforkd::bench
