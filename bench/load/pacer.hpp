#pragma once

#include <deque>
#include <memory>

#include "bench/load/event_loop.hpp"
#include "bench/load/options.hpp"

namespace preforkd::bench {

/// Something that sends when its turn comes.
class Sender {
  public:
    virtual ~Sender() = default;

    /// `due`: when the request ought to go out, from which its latency counts.
    /// `waited`: time has passed since the last answer, so the server may have closed meanwhile.
    virtual void send_now(TimePoint due, bool waited) = 0;
};

/// Decides when each free connection of one thread sends again.
class Pacer {
  public:
    virtual ~Pacer() = default;

    /// `sender` is free since `now`. Its turn may come before this returns.
    virtual void enqueue(Sender& sender, TimePoint now) = 0;

    /// Open loop: how many requests were due by `now` and have found no free connection.
    [[nodiscard]] virtual std::uint64_t overdue(TimePoint) const { return 0; }
};

/// Each sender's turn comes a fixed time after it was enqueued: clients that think.
class DelayPacer final : public Pacer {
  public:
    /// Requires: delay > 0.
    DelayPacer(EventLoop& loop, nanoseconds delay);
    void enqueue(Sender& sender, TimePoint now) override;

  private:
    struct Turn {
        TimePoint at;
        Sender* sender;
    };
    void take_turns();

    const nanoseconds delay_;
    std::deque<Turn> turns_;
    Alarm alarm_;
};

/// How fast a thread may go: its share of connections and of --rate.
struct Share {
    unsigned connections = 1;
    double rate = 0;        ///< requests a second, 0 = closed loop
    nanoseconds offset{0};  ///< open loop: its first request's delay, so that threads alternate
    std::uint64_t requests = 0;  ///< how many it may send; 0 = no limit
    std::uint64_t seed = 1;
};

/// Closed loop (at once), thinking, or open loop, as the options say. Open loop's requests fall due
/// at even distances from `start` whatever the server does; each goes out on the connection that
/// has been free longest, or on the next that becomes free.
[[nodiscard]] std::unique_ptr<Pacer> make_pacer(EventLoop& loop, const Options& options,
                                                const Share& share, TimePoint start);

}  // namespace preforkd::bench
