#include "bench/load/pacer.hpp"

namespace preforkd::bench {
namespace {

class ClosedLoop final : public Pacer {
  public:
    void enqueue(Sender& sender, TimePoint now) override { sender.send_now(now, false); }
};

class OpenLoop final : public Pacer {
  public:
    OpenLoop(EventLoop& loop, double batches_per_second, nanoseconds spin, TimePoint first)
        : interval_(1e9 / batches_per_second), spin_(spin), first_(first), alarm_(loop, [this] {
              alarm_is_set_ = false;
              send_due();
          }) {}

    void enqueue(Sender& sender, TimePoint) override {
        free_.push_back(&sender);
        if (!alarm_is_set_) send_due();
    }

    [[nodiscard]] std::uint64_t overdue(TimePoint now) const override {
        if (now < due()) return 0;
        return std::uint64_t(double((now - first_).count()) / interval_) + 1 - sent_;
    }

  private:
    // From a count, not by adding up: a rounded interval would drift over a long run.
    [[nodiscard]] TimePoint due() const {
        return first_ + nanoseconds(std::int64_t(double(sent_) * interval_));
    }

    void send_due() {
        TimePoint now = Clock::now();
        while (!free_.empty() && due() <= now) {
            Sender* const sender = free_.front();
            free_.pop_front();
            const TimePoint at = due();
            ++sent_;
            alarm_is_set_ = true;  // what comes back while this loop runs is looked at by this loop
            sender->send_now(at, true);
            alarm_is_set_ = false;
            now = Clock::now();
        }
        if (!free_.empty()) wait_until_due(now);
    }

    void wait_until_due(TimePoint now) {
        alarm_is_set_ = true;
        if (due() - now <= spin_)
            alarm_.set_soon();
        else
            alarm_.set(due() - spin_);
    }

    const double interval_;
    const nanoseconds spin_;
    const TimePoint first_;
    std::uint64_t sent_ = 0;
    std::deque<Sender*> free_;
    bool alarm_is_set_ = false;
    Alarm alarm_;
};

}  // namespace

DelayPacer::DelayPacer(EventLoop& loop, nanoseconds delay)
    : delay_(delay), alarm_(loop, [this] { take_turns(); }) {}

void DelayPacer::enqueue(Sender& sender, TimePoint now) {
    turns_.push_back({now + delay_, &sender});
    if (turns_.size() == 1) alarm_.set(turns_.front().at);
}

void DelayPacer::take_turns() {
    const TimePoint now = Clock::now();
    while (!turns_.empty() && turns_.front().at <= now) {
        Sender* const sender = turns_.front().sender;
        turns_.pop_front();
        sender->send_now(now, true);
    }
    if (!turns_.empty()) alarm_.set(turns_.front().at);
}

std::unique_ptr<Pacer> make_pacer(EventLoop& loop, const Options& options, const Share& share,
                                  TimePoint start) {
    if (share.rate > 0)
        return std::make_unique<OpenLoop>(loop, share.rate / options.pipeline, options.spin,
                                          start + share.offset);
    if (options.think.count() > 0) return std::make_unique<DelayPacer>(loop, options.think);
    return std::make_unique<ClosedLoop>();
}

}  // namespace preforkd::bench
