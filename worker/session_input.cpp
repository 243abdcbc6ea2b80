#include <sys/socket.h>

#include <cstring>

#include "worker/session.hpp"

namespace preforkd::worker {
namespace {

// Counted against the turn, in operations: 2 MiB of input from a peer that is always ahead.
constexpr std::uint16_t cost_of_receive = 32;

}  // namespace

Session::Attempt Session::receive_more(OnDrain rule) {
    if (const Attempt sent = send_gathered(); sent != Attempt::done) return sent;
    if (!input_ended_ && !broken_ && !drained_) {
        const auto before = received().size();
        if (before == receive_capacity) return fail(End::too_long);
        receive();
        if (received().size() > before) return Attempt::done;
    }
    if (broken_) return fail(End::reset);
    if (input_ended_) return fail(End::peer_left);
    if (begin_ == end_) settle();
    rule_ = rule;
    if (const End reason = reason_not_to_wait(); reason != End::none) return fail(reason);
    need_ = Need::readable;
    return Attempt::wait;
}

void Session::receive() {
    attempts_ += cost_of_receive;
    take_input();
    SharedBuffer& buffer = group().input();
    const auto kept = received().size();
    if (begin_ != buffer.begin() &&
        static_cast<std::size_t>(buffer.end() - end_) < buffer.capacity() / 2) {
        std::memmove(buffer.begin(), begin_, kept);
        begin_ = buffer.begin();
        end_ = begin_ + kept;
    }
    const auto room = static_cast<std::size_t>(buffer.end() - end_);
    ssize_t got = 0;
    do {
        got = ::recv(socket_.get(), buffer.end() - room, room, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        note_input({end_, static_cast<std::size_t>(got)});
        end_ += got;
        // Less than asked for means that nothing is left: whatever comes later makes a new event.
        // Asking again would cost a system call to learn so.
        drained_ = static_cast<std::size_t>(got) < room;
        unverified_ = drained_;
        if (group().draining()) heard_in_drain_ = true;
    } else if (got == 0) {
        input_ended_ = true;
    } else if (errno == EAGAIN) {
        drained_ = true;
        unverified_ = false;
    } else {
        break_connection();
    }
}

// Makes the shared buffer ours, with our unconsumed bytes in it.
void Session::take_input() {
    SharedBuffer& buffer = group().input();
    if (buffer.holder() == this) {
        if (begin_ == end_) begin_ = end_ = buffer.begin();
        return;
    }
    if (buffer.holder() != nullptr) buffer.holder()->save_input();
    buffer.hand_to(this);
    const auto kept = received().size();
    if (kept != 0) std::memcpy(buffer.begin(), begin_, kept);
    begin_ = buffer.begin();
    end_ = begin_ + kept;
    if (kept_) keep_less();
}

void Session::save_input() {
    const auto kept = received().size();
    if (kept == 0) {
        begin_ = end_ = nullptr;
        return;
    }
    keep().input = std::make_unique_for_overwrite<char[]>(kept);
    std::memcpy(kept_->input.get(), begin_, kept);
    begin_ = kept_->input.get();
    end_ = begin_ + kept;
}

Session::Kept& Session::keep() {
    if (!kept_) kept_ = std::make_unique<Kept>();
    return *kept_;
}

// The input is back in the shared buffer.
void Session::keep_less() noexcept {
    kept_->input.reset();
    if (kept_->output.empty()) kept_.reset();
}

void Session::keep_if_shared(std::string_view& bytes) {
    if (bytes.empty() || !group().input().contains(bytes.data())) return;
    put(std::exchange(bytes, {}));
}

}  // namespace preforkd::worker
