#include "bench/load/load_thread.hpp"

#include <algorithm>

namespace preforkd::bench {
namespace {

using std::chrono::milliseconds;

// So many connections are opened before the first is answered; more at once would only overflow the
// server's accept queue, and each dropped SYN costs its client a second.
constexpr std::size_t opening_at_once = 128;
constexpr milliseconds tick_interval{100};
constexpr milliseconds penalty{10};

}  // namespace

LoadThread::LoadThread(const Options& run_options, const Protocol& run_protocol,
                       const Endpoint& server, Signals& signals, const Share& share,
                       const Phases& phases)
    : Crew(run_options, run_protocol, server, signals.serving_generation, share.seed),
      signals_(signals),
      share_(share),
      phases_(phases),
      pacer_(make_pacer(loop_, run_options, share, phases.start)),
      penalty_box_(loop_, penalty),
      budget_(share.requests == 0 ? UINT64_MAX : share.requests),
      start_alarm_(loop_, [this] { begin(); }),
      measure_alarm_(loop_, [this] { tally.restart(phases_.measure, options.slice); }),
      end_alarm_(loop_, [this] { stop(); }),
      tick_alarm_(loop_, [this] { tick(); }) {
    for (unsigned i = 0; i < share.connections; ++i)
        connections_.push_back(std::make_unique<Connection>(*this, loop_.context()));
    tally.restart(phases.start, options.slice);
    end = phases.end;
}

LoadThread::~LoadThread() = default;

void LoadThread::run() {
    start_alarm_.set(phases_.start);
    if (phases_.measure > phases_.start) measure_alarm_.set(phases_.measure);
    end_alarm_.set(phases_.end);
    tick_alarm_.set(phases_.start + tick_interval);
    loop_.run();
    for (const auto& connection : connections_) connection->look_for_close();
}

void LoadThread::begin() {
    const TimePoint now = Clock::now();
    if (share_.rate > 0) {
        for (const auto& connection : connections_) pacer_->enqueue(*connection, now);
        launched_ = connections_.size();
        return;
    }
    launch_some(now);
}

void LoadThread::launch_some(TimePoint now) {
    const std::size_t last = std::min(launched_ + opening_at_once, connections_.size());
    while (launched_ < last) launch_next(now);
}

void LoadThread::launch_next(TimePoint now) {
    connections_[launched_++]->send_now(now, false);
}

bool LoadThread::may_send() {
    if (stopping_ || budget_ < options.pipeline) return false;
    budget_ -= options.pipeline;
    ++in_flight_;
    return true;
}

void LoadThread::on_free(Connection& connection, TimePoint now, bool pause) {
    --in_flight_;
    if (pause)
        penalty_box_.enqueue(connection, now);
    else
        pacer_->enqueue(connection, now);
    if (!pause && launched_ < connections_.size()) launch_next(now);
    leave_if_done();
}

void LoadThread::tick() {
    const TimePoint now = Clock::now();
    tick_alarm_.set(now + tick_interval);
    std::uint64_t tried = 0;
    for (const auto& connection : connections_) {
        connection->check_time(now);
        if (connection->was_tried()) ++tried;
    }
    tried_.add(tried - tried_.get());
    if (signals_.interrupted.load(std::memory_order_relaxed)) return stop();
    launch_some(now);
}

void LoadThread::stop() {
    if (stopping_) return;
    stopping_ = true;
    finished_at_ = std::min(Clock::now(), phases_.end);
    tally.never_sent = pacer_->overdue(finished_at_);
    leave_if_done();
}

void LoadThread::leave_if_done() {
    if (in_flight_ > 0 || (!stopping_ && budget_ >= options.pipeline)) return;
    if (!stopping_) finished_at_ = Clock::now();
    stopping_ = true;
    loop_.stop();
}

}  // namespace preforkd::bench
