#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "worker/session.hpp"

namespace preforkd::worker {
namespace {

// One sendfile call, so that a fast reader of a large file leaves a turn to the others.
constexpr std::uint64_t file_chunk = 2u << 20;

// Counted against the turn, in operations.
constexpr std::uint16_t cost_of_send = 8;

}  // namespace

// --- gathering ---

// Where the gathered bytes lie: [output_sent_, output_size_) of it is unsent.
char* Session::output_base() noexcept {
    return own_output_ ? own_output_->data() : group_.output().begin();
}

bool Session::fits_gathered(std::size_t size) const noexcept {
    return unsent() + size <= group_.output().capacity();
}

char* Session::prepare(std::size_t size) {
    if (!own_output_) {
        take_output();
        if (output_size_ + size <= group_.output().capacity())
            return group_.output().begin() + output_size_;
        save_output();
        if (!own_output_) own_output_ = std::make_unique<std::string>();
    }
    own_output_->resize(output_size_ + size);
    return own_output_->data() + output_size_;
}

void Session::put(std::string_view bytes) {
    if (broken_ || bytes.empty()) return;
    std::memcpy(prepare(bytes.size()), bytes.data(), bytes.size());
    commit(bytes.size());
}

void Session::take_output() {
    SharedBuffer& buffer = group_.output();
    if (buffer.holder() == this) return;
    if (buffer.holder() != nullptr) buffer.holder()->save_output();
    buffer.hand_to(this);
    output_size_ = output_sent_ = 0;
}

// What is unsent moves into memory of our own, of just its size.
void Session::save_output() {
    if (unsent() != 0)
        own_output_ = std::make_unique<std::string>(output_base() + output_sent_, unsent());
    output_size_ -= output_sent_;
    output_sent_ = 0;
    group_.output().hand_to(nullptr);
}

void Session::release_output() noexcept {
    own_output_.reset();
    output_size_ = output_sent_ = 0;
}

// --- sending ---

Session::Attempt Session::send_gathered(int flags) {
    if (unsent() == 0) return broken_ ? fail(End::reset) : Attempt::done;
    std::string_view nothing_more;
    return send(nothing_more, flags);
}

Session::Attempt Session::send(std::string_view& more, int flags) {
    if (broken_) return fail(End::reset);
    attempts_ += cost_of_send;
    for (;;) {
        // Not const_cast away: sendmsg(2) reads through iov_base only.
        iovec parts[2] = {{output_base() + output_sent_, unsent()},
                          {const_cast<char*>(more.data()), more.size()}};
        const std::size_t total = unsent() + more.size();
        ssize_t taken = 0;
        if (more.empty()) {
            taken = ::send(socket_.get(), parts[0].iov_base, total, flags | MSG_NOSIGNAL);
        } else {
            msghdr message{};
            message.msg_iov = unsent() == 0 ? parts + 1 : parts;
            message.msg_iovlen = unsent() == 0 ? 1 : 2;
            taken = ::sendmsg(socket_.get(), &message, flags | MSG_NOSIGNAL);
        }
        if (taken < 0 && errno == EINTR) continue;
        if (taken < 0 && errno == EAGAIN) return blocked();
        if (taken < 0) {
            break_connection();
            return fail(End::reset);
        }
        const std::size_t of_gathered = std::min(static_cast<std::size_t>(taken), unsent());
        output_sent_ += static_cast<std::uint32_t>(of_gathered);
        more.remove_prefix(static_cast<std::size_t>(taken) - of_gathered);
        if (static_cast<std::size_t>(taken) < total) return blocked();
        release_output();
        return Attempt::done;
    }
}

// The kernel takes no more now. It has noted so, and makes an event when there is room again.
Session::Attempt Session::blocked() noexcept {
    const bool over = need_ == Need::writable && take_timed_out();
    if (over || group_.is_cut() || deadline_ <= group_.wheel().now()) {
        break_connection();
        return fail(group_.is_cut() ? End::draining : End::deadline);
    }
    need_ = Need::writable;
    return Attempt::wait;
}

Session::Attempt Session::send_file_part(int file, std::uint64_t& offset, std::uint64_t& left) {
    if (const Attempt sent = send_gathered(MSG_MORE); sent != Attempt::done) return sent;
    std::uint64_t budget = 2 * file_chunk;
    while (left != 0) {
        if (budget == 0) return yield();
        auto position = static_cast<off_t>(offset);
        const std::uint64_t wanted = std::min({left, file_chunk, budget});
        const ssize_t taken = ::sendfile(socket_.get(), file, &position, wanted);
        if (taken < 0 && errno == EINTR) continue;
        if (taken < 0 && errno == EAGAIN) return blocked();
        if (taken <= 0) {
            // The promised length can't be kept any more, so the connection must not look whole.
            const bool truncated = taken == 0 || errno == EIO;
            break_connection();
            return fail(truncated ? End::truncated : End::reset);
        }
        offset += static_cast<std::uint64_t>(taken);
        left -= static_cast<std::uint64_t>(taken);
        budget -= static_cast<std::uint64_t>(taken);
    }
    return Attempt::done;
}

Session::Attempt Session::half_close() {
    const Attempt sent = send_gathered(MSG_MORE);
    if (sent != Attempt::done || half_closed_) return sent;
    half_closed_ = true;
    if (::shutdown(socket_.get(), SHUT_WR) == 0) return Attempt::done;
    break_connection();
    return fail(End::reset);
}

void Session::break_connection() noexcept {
    broken_ = true;
    input_ended_ = true;
    release_output();
}

}  // namespace preforkd::worker
