#include <preforkd/connection.hpp>

#include <preforkd/service.hpp>

#include "shared/log.hpp"
#include "worker/access_log.hpp"
#include "worker/session.hpp"

namespace preforkd {
namespace {

using worker::Session;

// As ticks of a coarse clock, for a field of 16 bits. 0 stays 0: no limit.
std::uint16_t timeout_ticks(std::chrono::seconds timeout) noexcept {
    if (timeout <= seconds(0)) return 0;
    return static_cast<std::uint16_t>(
        std::min<worker::Tick>(worker::ticks_for(timeout), UINT16_MAX));
}

}  // namespace

std::string_view to_string(End end) noexcept {
    switch (end) {
        case End::none:
            return "none";
        case End::peer_left:
            return "peer left";
        case End::reset:
            return "reset";
        case End::deadline:
            return "deadline";
        case End::too_long:
            return "too long";
        case End::draining:
            return "draining";
        case End::woken:
            return "woken";
        case End::truncated:
            return "truncated";
    }
    return "unknown";
}

void Connection::put(std::string_view bytes) {
    Session::of(*this).put(bytes);
}
char* Connection::prepare(std::size_t size) {
    return Session::of(*this).prepare(size);
}
void Connection::commit(std::size_t size) noexcept {
    Session::of(*this).commit(size);
}
std::size_t Connection::unsent() const noexcept {
    return Session::of(*this).unsent();
}

void Connection::linger() noexcept {
    Session::of(*this).set_linger();
}
void Connection::abort() noexcept {
    Session::of(*this).set_reset();
}

void Connection::deadline(std::chrono::seconds from_now) noexcept {
    Session& session = Session::of(*this);
    session.set_deadline(session.group().wheel().now() + worker::ticks_for(from_now));
}

void Connection::no_deadline() noexcept {
    Session::of(*this).set_deadline(worker::never);
}

void Connection::read_timeout(std::chrono::seconds each) noexcept {
    Session::of(*this).set_read_timeout(timeout_ticks(each));
}

void Connection::send_timeout(std::chrono::seconds each) noexcept {
    Session::of(*this).set_send_timeout(timeout_ticks(each));
}

bool Connection::draining() const noexcept {
    return Session::of(*this).group().draining();
}
void Connection::wake() noexcept {
    Session::of(*this).wake();
}
void Connection::count_request(unsigned status) {
    Session::of(*this).count_request(status);
}

std::uint64_t Connection::id() const noexcept {
    return Session::of(*this).id();
}
std::string Connection::peer() const {
    return Session::of(*this).peer().render();
}

std::string Connection::local() const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(descriptor(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        return "unknown";
    return worker::PeerAddress(address).render();
}

IpText Connection::peer_ip() const noexcept {
    IpText text;
    text.size_ = static_cast<std::uint8_t>(Session::of(*this).peer().render_ip(text.text_.data()));
    return text;
}

std::uint16_t Connection::peer_port() const noexcept {
    return Session::of(*this).peer().port();
}

const std::string& Connection::listener_name() const noexcept {
    return Session::of(*this).listener().name;
}

void Connection::log(LogLevel level, std::string_view text) const {
    const Session& session = Session::of(*this);
    session.group().logger().log(level, text,
                                 {{"service", session.listener().service_name},
                                  {"listener", session.listener().name},
                                  {"peer", session.peer().render()}});
}

int Connection::descriptor() const noexcept {
    return Session::of(*this).descriptor();
}

void ServiceContext::log(LogLevel level, std::string_view text) const {
    logger_.log(level, text, {{"listener", listener_name_}});
}

bool ServiceContext::logs_access() const noexcept {
    return access_log_ != nullptr && access_log_->is_on();
}

LogFormat ServiceContext::access_format() const noexcept {
    return access_log_ != nullptr ? access_log_->format() : LogFormat::combined;
}

void ServiceContext::log_access(std::string_view line) const {
    if (access_log_ != nullptr) access_log_->append(line);
}

}  // namespace preforkd
