#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "shared/log.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"
#include "worker/buffers.hpp"
#include "worker/counting.hpp"
#include "worker/dead_man_switch.hpp"
#include "worker/engine.hpp"
#include "worker/peer_address.hpp"
#include "worker/readiness.hpp"
#include "worker/tick_wheel.hpp"

namespace preforkd {
class Service;
}

namespace preforkd::worker {

class SessionGroup;

/// What connections of one listening socket have in common.
struct Listener {
    SessionGroup* group = nullptr;  ///< where its sessions live
    std::string name;               ///< NAME of `[listen.NAME]`
    std::string service_name;       ///< for log lines
    Service* service = nullptr;
    SectionCounters* counters = nullptr;
    /// A new connection has sent something already (TCP_DEFER_ACCEPT), so it is read at once;
    /// otherwise it is waited for, since that recv would mostly find nothing.
    bool input_expected = false;
};

/// All sessions of a worker and what they share: buffers, the reactor, the clock, the drain.
class SessionGroup {
  public:
    SessionGroup(boost::asio::io_context& context, const Logger& logger, Ticking ticking);
    ~SessionGroup();
    SessionGroup(const SessionGroup&) = delete;
    SessionGroup& operator=(const SessionGroup&) = delete;

    /// Serves `connection` until its service is done. `listener` is of this group and outlives it.
    void start(UniqueFd connection, const PeerAddress& peer, const Listener& listener);

    /// Tells every session that the worker leaves; see DrainRules for the grace.
    void drain(seconds grace);

    /// Ends every wait with End::draining, now and from now on.
    void cut();

    /// Destroys the coroutines of all sessions and closes their sockets. Nothing of the group is
    /// used afterwards, and the io_context runs no more; it must be destroyed before the group.
    void abandon_all() noexcept;

    /// Lets one second of the coarse clock pass.
    void tick();

    /// Counts into `page` from now on; before the first connection.
    void use(OwnPage page) { page_ = std::move(page); }
    [[nodiscard]] OwnPage& page() noexcept { return page_; }
    [[nodiscard]] RequestNote& note_of(std::uint64_t connection) noexcept {
        return page_.page().notes[connection % WorkerPage::notes_count];
    }

    /// From now on `timer` goes off when the clock doesn't tick though it should.
    void use(DeadManSwitch dead_man_switch) noexcept { switch_ = std::move(dead_man_switch); }

    /// Calls back once, when that many requests have been served.
    void on_requests(std::uint64_t limit, std::function<void()> callback) {
        request_limit_ = limit;
        requests_served_ = std::move(callback);
    }

    /// The clock ticks even without sessions until each reason to has been withdrawn.
    void add_reason_to_tick();
    void withdraw_reason_to_tick() noexcept { --reasons_to_tick_; }

    /// Called after each session's end, and on each tick.
    void on_session_end(std::function<void()> callback) { session_ended_ = std::move(callback); }
    void on_tick(std::function<void()> callback) { ticked_ = std::move(callback); }
    /// Called when there is no descriptor or memory for another session.
    void on_full(std::function<void()> callback) { full_ = std::move(callback); }
    void report_full() const {
        if (full_) full_();
    }

    [[nodiscard]] std::size_t size() const noexcept { return wheel_.size(); }
    [[nodiscard]] std::uint64_t started() const noexcept { return started_; }
    [[nodiscard]] std::uint64_t requests() const noexcept { return requests_; }

    // --- for its sessions ---

    [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }
    [[nodiscard]] Reactor& reactor() noexcept { return reactor_; }
    [[nodiscard]] TickWheel& wheel() noexcept { return wheel_; }
    [[nodiscard]] SharedBuffer& input() noexcept { return input_; }
    [[nodiscard]] SharedBuffer& output() noexcept { return output_; }
    [[nodiscard]] const Logger& logger() const noexcept { return logger_; }
    [[nodiscard]] bool draining() const noexcept { return draining_; }
    [[nodiscard]] bool is_cut() const noexcept { return cut_; }

    /// When the grace of sessions that were idle at the drain's begin is over.
    [[nodiscard]] Tick grace_until() const noexcept { return grace_until_; }
    /// When that of a connection which came during the drain is over.
    [[nodiscard]] Tick grace_from_now() const noexcept { return wheel_.now() + grace_; }

    void count_request() {
        if (++requests_ == request_limit_) requests_served_();
    }
    std::uint64_t next_id() noexcept { return ++started_; }
    void session_ended(Session& session) noexcept;

  private:
    void arm_timer();

    boost::asio::io_context& context_;
    const Logger& logger_;
    Reactor reactor_;
    SharedBuffer input_;
    SharedBuffer output_;
    TickWheel wheel_;
    std::optional<boost::asio::steady_timer> timer_;  // goes before the io_context
    OwnPage page_;
    DeadManSwitch switch_;
    std::function<void()> session_ended_;
    std::function<void()> requests_served_;
    std::function<void()> ticked_;
    std::function<void()> full_;
    std::uint64_t started_ = 0;
    std::uint64_t requests_ = 0;
    std::uint64_t request_limit_ = 0;
    Tick grace_until_ = never;
    Tick grace_ = 0;
    unsigned reasons_to_tick_ = 0;
    bool draining_ = false;
    bool cut_ = false;
    bool timer_armed_ = false;  // or never to be
};

/// Ticks that surely last at least `duration`, which may begin anywhere within one.
[[nodiscard]] constexpr Tick ticks_for(seconds duration) noexcept {
    if (duration < seconds(0)) return 0;
    constexpr std::int64_t longest = 1 << 30;
    return static_cast<Tick>(duration.count() < longest ? duration.count() + 1 : longest);
}

}  // namespace preforkd::worker
