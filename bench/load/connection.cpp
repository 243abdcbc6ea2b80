#include "bench/load/connection.hpp"

#include <sys/socket.h>

#include <cassert>
#include <cerrno>

namespace preforkd::bench {
namespace {

// How long nothing comes before the socket is looked at although epoll tells of nothing.
constexpr std::chrono::seconds patience{1};

Failure failure_of(int error) {
    switch (error) {
        case ECONNREFUSED:
            return Failure::refused;
        case ECONNRESET:
        case EPIPE:
            return Failure::reset;
        default:
            return Failure::no_connection;
    }
}

}  // namespace

Crew::Crew(const Options& run_options, const Protocol& run_protocol, const Endpoint& server,
           const std::atomic<std::uint64_t>& generation, std::uint64_t seed)
    : options(run_options),
      protocol(run_protocol),
      endpoint(server),
      serving_generation(generation),
      batch(run_protocol.request().repeated(run_options.pipeline)),
      random(seed) {}

Connection::Connection(Crew& crew, boost::asio::io_context& context)
    : crew_(crew), reader_(crew.protocol.make_reader()), socket_(context, *this) {}

void Connection::send_now(TimePoint due, bool waited) {
    assert(state_ == State::idle);
    if (!crew_.may_send()) return;
    if (waited) look_for_close();
    due_ = due;
    sent_at_ = waited ? Clock::now() : due;
    outstanding_ = crew_.options.pipeline;
    if (socket_.is_open())
        send_batch();
    else
        open();
}

// What a careful HTTP client does before it uses an idle connection again: a close that is seen
// here costs no request. Source: RFC 9112 §9.5.
void Connection::look_for_close() {
    if (!socket_.is_open()) return;
    const ssize_t got = socket_.receive(crew_.buffer);
    if (got < 0 && errno == EAGAIN) return;
    const std::string_view bytes(crew_.buffer.data(), std::size_t(got > 0 ? got : 0));
    if (got < 0)
        ++crew_.tally.resets_while_idle;
    else if (got == 0 || reader_->is_farewell(bytes))
        ++crew_.tally.closes_while_idle;
    else
        ++crew_.tally.unsolicited;
    close();
}

void Connection::open() {
    generation_at_open_ = crew_.serving_generation.load(std::memory_order_relaxed);
    const int error = socket_.connect(crew_.endpoint, !crew_.options.one_shot);
    if (error != 0) {
        const Failure failure = failure_of(error);
        fail_rest(failure, failure);
        return finish(Clock::now(), false, true);
    }
    if (!crew_.protocol.server_greets()) return send_batch();
    state_ = State::greeting;
    socket_.wait_readable();
}

void Connection::send_batch() {
    std::string_view batch = crew_.batch;
    if (crew_.protocol.request().varies()) {
        crew_.scratch.clear();
        numbers_.clear();
        for (unsigned i = 0; i < outstanding_; ++i)
            numbers_.push_back(crew_.protocol.request().append_to(crew_.scratch, crew_.random));
        batch = crew_.scratch;
    }
    state_ = State::receiving;
    // Tried before the connection is known to stand: on loopback it does, and a wait is saved.
    const ssize_t sent = socket_.send(batch);
    if (sent == ssize_t(batch.size())) {
        if (!carried_before_) ++crew_.tally.connections_opened;
        return socket_.wait_readable();
    }
    if (sent < 0 && errno != EAGAIN) return receive_nothing(errno);
    unsent_ = batch.substr(sent < 0 ? 0 : std::size_t(sent));
    state_ = State::sending;
    socket_.wait_writable();
}

void Connection::send_rest() {
    const ssize_t sent = socket_.send(unsent_);
    if (sent < 0 && errno != EAGAIN) return receive_nothing(errno);
    if (sent > 0) unsent_.erase(0, std::size_t(sent));
    if (!unsent_.empty()) return socket_.wait_writable();
    if (!carried_before_) ++crew_.tally.connections_opened;
    state_ = State::receiving;
    receive();
}

void Connection::on_ready(bool) {
    if (timed_out_) {
        fail_rest(Failure::timeout, Failure::timeout);
        return finish(Clock::now(), false);
    }
    if (state_ == State::sending)
        send_rest();
    else
        receive();
}

void Connection::receive() {
    while (true) {
        const ssize_t got = socket_.receive(crew_.buffer);
        if (got <= 0) return receive_nothing(got == 0 ? 0 : errno);
        crew_.tally.bytes_received += std::uint64_t(got);
        const std::string_view bytes(crew_.buffer.data(), std::size_t(got));
        if (!consume(bytes, Clock::now())) return;
        // A read that leaves room has taken all there was; another would only find nothing. That
        // the end came with these bytes is noticed by check_time(), but for answers which end so.
        if (bytes.size() < crew_.buffer.size() && !reader_->ends_with_stream())
            return socket_.wait_readable();
    }
}

/// `error`: 0 = end of stream.
void Connection::receive_nothing(int error) {
    if (error == EAGAIN) return socket_.wait_readable();
    const TimePoint now = Clock::now();
    if (error == 0) {
        if (const auto reply = reader_->at_end_of_stream()) settle(*reply, now);
    }
    const Failure failure = error == 0 ? Failure::end_of_stream : failure_of(error);
    fail_rest(reader_->inside_reply() ? Failure::truncated : failure, failure);
    finish(now, false, failure == Failure::refused || failure == Failure::no_connection);
}

/// Whether more is to come for this batch.
bool Connection::consume(std::string_view bytes, TimePoint now) {
    while (!bytes.empty()) {
        std::optional<Reply> reply;
        const std::size_t index = numbers_.empty() ? 0 : crew_.options.pipeline - outstanding_;
        bytes.remove_prefix(reader_->read(bytes, numbers_.empty() ? 0 : numbers_[index], reply));
        if (!reply) return true;
        if (state_ == State::greeting) {
            greeted(*reply, now);
            return false;
        }
        settle(*reply, now);
        if (reply->closes) {
            fail_rest(Failure::unanswered, Failure::unanswered);
            if (!reply->failure) ++crew_.tally.closes_announced;
        }
        if (outstanding_ > 0) continue;
        finish_batch(bytes, reply->closes, now);
        return false;
    }
    return true;
}

void Connection::greeted(const Reply& reply, TimePoint now) {
    if (!reply.failure) return send_batch();
    fail_rest(*reply.failure, *reply.failure);
    finish(now, false);
}

void Connection::settle(const Reply& reply, TimePoint now) {
    --outstanding_;
    std::optional<Failure> failure = reply.failure;
    if (!failure && reply.generation != 0 && reply.generation < generation_at_open_)
        failure = Failure::stale_generation;
    if (failure) return crew_.tally.add_failure(now, *failure, carrier());
    if (now > crew_.end) return;
    crew_.tally.add_answer(now, now - due_);
    if (crew_.options.rate > 0) crew_.tally.service_time.record(now - sent_at_);
}

/// `rest`: what came behind the last answer.
void Connection::finish_batch(std::string_view rest, bool closes, TimePoint now) {
    if (!rest.empty() && !closes) {
        if (reader_->is_farewell(rest))
            ++crew_.tally.closes_announced;
        else
            ++crew_.tally.unsolicited;
    }
    finish(now, rest.empty() && !closes && !crew_.options.one_shot);
}

void Connection::fail_rest(Failure first, Failure others) {
    const TimePoint now = Clock::now();
    for (unsigned i = 0; i < outstanding_; ++i)
        crew_.tally.add_failure(now, i == 0 ? first : others, carrier());
    outstanding_ = 0;
}

void Connection::finish(TimePoint now, bool keep_open, bool pause) {
    state_ = State::idle;
    timed_out_ = false;
    carried_before_ = true;
    checked_at_ = {};
    if (!keep_open) close();
    was_tried_ = true;
    crew_.on_free(*this, now, pause);
}

void Connection::close() {
    socket_.close();
    reader_->restart();
    carried_before_ = false;
    unsent_.clear();
}

void Connection::check_time(TimePoint now) {
    if (state_ == State::idle) return;
    if (now - sent_at_ > crew_.options.timeout) {
        timed_out_ = true;
        return socket_.cancel();
    }
    // The end may have come in the segment of the answer before, whose read took all bytes and saw
    // no end; epoll tells of it once, so a wait for more would last for ever.
    const bool checked_before = checked_at_ >= sent_at_;
    if (!reader_->inside_reply() && now - (checked_before ? checked_at_ : sent_at_) < patience)
        return;
    if (checked_before || !reader_->inside_reply()) socket_.cancel();  // on_ready() reads once more
    checked_at_ = now;
}

}  // namespace preforkd::bench
