#include <algorithm>
#include <cstring>
#include <utility>

#include "worker/session.hpp"
#include "worker/sleep_timer.hpp"

// What the operations of <preforkd/connection.hpp> do with their session.

namespace preforkd::detail {
namespace {

using worker::Session;
using Attempt = Session::Attempt;

// True when there is a result.
bool settle(Attempt attempt, bool& succeeded) noexcept {
    succeeded = attempt == Attempt::done;
    return attempt != Attempt::wait;
}

std::uint32_t received_size(const Connection& connection) noexcept {
    return static_cast<std::uint32_t>(connection.received().size());
}

}  // namespace

bool Operation::await_ready() {
    return Session::of(connection_).attempt(*this);
}

void Operation::await_suspend(std::coroutine_handle<> waiter) {
    Session::of(connection_).suspend(*this, waiter);
}

Fill::Fill(Connection& connection, OnDrain rule) noexcept
    : Operation(connection), seen_(received_size(connection)), rule_(rule) {}

bool Fill::advance() {
    return settle(Session::of(connection_).receive_more(rule_), succeeded_);
}

ReadSome::ReadSome(Connection& connection, std::size_t limit, OnDrain rule) noexcept
    : Operation(connection), limit_(limit), rule_(rule) {}

bool ReadSome::advance() {
    if (!connection_.received().empty()) return succeeded_ = true;
    return settle(Session::of(connection_).receive_more(rule_), succeeded_);
}

std::optional<std::string_view> ReadSome::await_resume() noexcept {
    if (!succeeded_) return std::nullopt;
    const std::string_view taken = connection_.received().substr(0, limit_);
    connection_.consume(taken.size());
    return taken;
}

ReadExact::ReadExact(Connection& connection, std::span<char> into, OnDrain rule) noexcept
    : Operation(connection), into_(into), rule_(rule) {}

bool ReadExact::advance() {
    for (;;) {
        const std::string_view taken = connection_.received().substr(0, into_.size());
        if (!taken.empty()) std::memcpy(into_.data(), taken.data(), taken.size());
        connection_.consume(taken.size());
        into_ = into_.subspan(taken.size());
        if (into_.empty()) return true;
        const Attempt more = Session::of(connection_).receive_more(rule_);
        if (more != Attempt::done) return more == Attempt::failed;
    }
}

ReadString::ReadString(Connection& connection, std::size_t size, OnDrain rule)
    : Operation(connection), missing_(size), rule_(rule) {}

bool ReadString::advance() {
    for (;;) {
        const std::string_view taken = connection_.received().substr(0, missing_);
        text_ += taken;
        connection_.consume(taken.size());
        missing_ -= taken.size();
        if (missing_ == 0) return true;
        const Attempt more = Session::of(connection_).receive_more(rule_);
        if (more != Attempt::done) return more == Attempt::failed;
    }
}

std::optional<std::string> ReadString::await_resume() {
    if (missing_ != 0) return std::nullopt;
    return std::move(text_);
}

ReadUntil::ReadUntil(Connection& connection, std::string_view delimiter, std::size_t limit,
                     OnDrain rule) noexcept
    : Operation(connection),
      delimiter_(delimiter),
      limit_(static_cast<std::uint32_t>(std::min(limit, Connection::receive_capacity))),
      rule_(rule) {}

bool ReadUntil::advance() {
    for (;;) {
        const std::string_view searched = connection_.received().substr(0, limit_);
        const auto at = searched.find(delimiter_, searched_);
        if (at != std::string_view::npos) {
            found_ = static_cast<std::uint32_t>(at + delimiter_.size());
            return true;
        }
        Session& session = Session::of(connection_);
        if (searched.size() == limit_) return session.fail(End::too_long) == Attempt::failed;
        // A delimiter may have begun in what was searched.
        const auto overlap = std::min(searched.size(), delimiter_.size() - 1);
        searched_ = static_cast<std::uint32_t>(searched.size() - overlap);
        const Attempt more = session.receive_more(rule_);
        if (more != Attempt::done) return more == Attempt::failed;
    }
}

std::optional<std::string_view> ReadUntil::await_resume() noexcept {
    if (found_ == 0) return std::nullopt;
    const std::string_view taken = connection_.received().substr(0, found_);
    connection_.consume(found_);
    return taken;
}

std::optional<std::string> ReadLine::await_resume() {
    auto line = ReadUntil::await_resume();
    if (!line) return std::nullopt;
    line->remove_suffix(1);
    if (line->ends_with('\r')) line->remove_suffix(1);
    return std::string(*line);
}

bool Write::advance() {
    Session& session = Session::of(connection_);
    if (session.broken()) return settle(session.fail(End::reset), succeeded_);
    // Small pieces are gathered; copying a large one would cost more than sending it at once.
    constexpr std::size_t gathered_at_most = 16384;
    if (!sending_ && bytes_.size() <= gathered_at_most && session.fits_gathered(bytes_.size())) {
        session.put(std::exchange(bytes_, {}));
        return succeeded_ = true;
    }
    sending_ = true;
    const Attempt sent = session.send(bytes_);
    if (sent == Attempt::wait) session.keep_if_shared(bytes_);
    return settle(sent, succeeded_);
}

bool Flush::advance() {
    Session& session = Session::of(connection_);
    return settle(half_close_ ? session.half_close() : session.send_gathered(), succeeded_);
}

bool SendFile::advance() {
    Session& session = Session::of(connection_);
    const std::string_view mapped = std::exchange(mapped_, {});
    return settle(mapped.empty() ? session.send_file_part(file_, offset_, left_)
                                 : session.send_mapped_part(file_, offset_, left_, mapped),
                  succeeded_);
}

Sleep::~Sleep() {
    if (!timer_) return;
    timer_->session = nullptr;
    timer_->timer.cancel();
}

bool Sleep::advance() {
    Session& session = Session::of(connection_);
    if (!timer_) {
        const Attempt sent = session.send_gathered();
        if (sent != Attempt::done) return settle(sent, succeeded_);
    }
    const bool cut = session.group().is_cut();
    if (cut || session.take_woken())
        return settle(session.fail(cut ? End::draining : End::woken), succeeded_);
    if (timer_) return succeeded_ = true;
    timer_ = std::make_shared<SleepTimer>(
        SleepTimer{boost::asio::steady_timer(session.group().context(), duration_), &session});
    timer_->timer.async_wait([timer = timer_](const error_code&) {
        if (timer->session != nullptr) timer->session->on_ready();
    });
    return settle(session.wait_for_timer(), succeeded_);
}

void Sleep::interrupt() {
    timer_->timer.cancel();
}

}  // namespace preforkd::detail
