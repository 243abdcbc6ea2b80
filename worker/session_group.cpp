#include "worker/session_group.hpp"

#include "worker/session.hpp"

namespace preforkd::worker {
namespace {

constexpr std::size_t output_capacity = 65536;

Session& session_of(WheelEntry& entry) noexcept {
    return static_cast<Session&>(entry);
}

}  // namespace

SessionGroup::SessionGroup(boost::asio::io_context& context, const Logger& logger, Ticking ticking)
    : context_(context),
      logger_(logger),
      reactor_(context),
      input_(Connection::receive_capacity),
      output_(output_capacity),
      timer_(context),
      timer_armed_(ticking == Ticking::by_hand) {}

SessionGroup::~SessionGroup() {
    wheel_.for_each([this](WheelEntry& entry) {
        wheel_.remove(entry);
        delete &session_of(entry);
    });
}

void SessionGroup::start(UniqueFd connection, const PeerAddress& peer, const Listener& listener) {
    auto* const session = new Session(listener, std::move(connection), peer);
    wheel_.add(*session);
    arm_timer();
    session->begin();
}

void SessionGroup::session_ended(Session& session) noexcept {
    wheel_.remove(session);
    delete &session;
    if (session_ended_) session_ended_();
}

void SessionGroup::drain(seconds grace) {
    draining_ = true;
    grace_ = ticks_for(grace);
    grace_until_ = wheel_.now() + grace_;
    wheel_.for_each([](WheelEntry& entry) { session_of(entry).on_drain(); });
}

void SessionGroup::cut() {
    cut_ = true;
    wheel_.for_each([](WheelEntry& entry) { session_of(entry).on_cut(); });
}

void SessionGroup::abandon_all() noexcept {
    wheel_.for_each([](WheelEntry& entry) { session_of(entry).abandon(); });
    timer_.reset();
}

void SessionGroup::tick() {
    wheel_.advance([](WheelEntry& entry) { session_of(entry).on_tick(); });
    if (ticked_) ticked_();
}

void SessionGroup::add_reason_to_tick() {
    ++reasons_to_tick_;
    arm_timer();
}

void SessionGroup::arm_timer() {
    if (timer_armed_) return;
    timer_armed_ = true;
    switch_.wind();
    timer_->expires_after(seconds(1));
    timer_->async_wait([this](const error_code& error) {
        if (error) return;
        timer_armed_ = false;
        tick();
        if (!wheel_.empty() || reasons_to_tick_ != 0)
            arm_timer();
        else if (!timer_armed_)
            switch_.stop();
    });
}

}  // namespace preforkd::worker
