#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "worker/session.hpp"

namespace preforkd::worker {
namespace {

// One sendfile call, and a turn, after which other connections have theirs. Small, for what is sent
// is still in the processor's cache when it is received, and so that less waits in the kernel: with
// 2 MiB a file of 10 MiB cost twice as much processor time on the loopback interface.
constexpr std::uint64_t file_chunk = 64u << 10;
constexpr std::uint64_t most_of_a_file = 2 * file_chunk;

// Counted against the turn, in operations.
constexpr std::uint16_t cost_of_send = 8;

/// `flags` are for one part. Two go by writev(2), for which SIGPIPE is ignored: sendmsg(2) could
/// pass descriptors on, and so is closed to workers.
ssize_t send_both(int socket, std::string_view first, std::string_view second, int flags) noexcept {
    flags |= MSG_NOSIGNAL;
    if (second.empty()) return ::send(socket, first.data(), first.size(), flags);
    if (first.empty()) return ::send(socket, second.data(), second.size(), flags);
    // It only reads through iov_base, which is not const for readv(2)'s sake.
    const iovec parts[2] = {{const_cast<char*>(first.data()), first.size()},
                            {const_cast<char*>(second.data()), second.size()}};
    return ::writev(socket, parts, 2);
}

}  // namespace

// --- gathering ---

std::string_view Session::gathered() const noexcept {
    if (kept_ && !kept_->output.empty()) return kept_->output;
    SharedBuffer& buffer = group().output();
    if (buffer.holder() != this) return {};
    return {buffer.begin(), buffer.size};
}

bool Session::fits_gathered(std::size_t size) const noexcept {
    return unsent() + size <= group().output().capacity();
}

char* Session::prepare(std::size_t size) {
    if (!kept_ || kept_->output.empty()) {
        take_output();
        SharedBuffer& buffer = group().output();
        if (buffer.size + size <= buffer.capacity()) return buffer.begin() + buffer.size;
        save_output();
    }
    std::string& output = keep().output;
    kept_->prepared = size;
    output.resize(output.size() + size);
    return output.data() + output.size() - size;
}

void Session::commit(std::size_t size) noexcept {
    if (kept_ && kept_->prepared != 0)
        kept_->output.resize(kept_->output.size() - std::exchange(kept_->prepared, 0) + size);
    else
        group().output().size += size;
}

void Session::put(std::string_view bytes) {
    if (broken_ || bytes.empty()) return;
    std::memcpy(prepare(bytes.size()), bytes.data(), bytes.size());
    commit(bytes.size());
}

void Session::take_output() {
    SharedBuffer& buffer = group().output();
    if (buffer.holder() == this) return;
    if (buffer.holder() != nullptr) buffer.holder()->save_output();
    buffer.hand_to(this);
    buffer.size = 0;
}

// What is gathered moves into memory of our own, of just its size.
void Session::save_output() {
    SharedBuffer& buffer = group().output();
    if (buffer.size != 0) keep().output.assign(buffer.begin(), buffer.size);
    buffer.size = 0;
    buffer.hand_to(nullptr);
}

// The kernel has the first `size` bytes. What it doesn't take now is not worth the shared buffer.
void Session::drop_gathered(std::size_t size) {
    if (size == 0) return;
    if (kept_ && !kept_->output.empty()) {
        kept_->output.erase(0, size);
        if (kept_->output.empty() && !kept_->input) kept_.reset();
        return;
    }
    SharedBuffer& buffer = group().output();
    if (size != buffer.size) keep().output.assign(buffer.begin() + size, buffer.size - size);
    buffer.size = 0;
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
        const std::string_view first = gathered();
        const std::size_t total = first.size() + more.size();
        const ssize_t taken = send_both(socket_.get(), first, more, flags);
        if (taken < 0 && errno == EINTR) continue;
        if (taken < 0 && errno == EAGAIN) return blocked();
        if (taken < 0) {
            // Of memory that shows a file: it was cut, or can't be read. mmap(2), SIGBUS
            const bool truncated = errno == EFAULT;
            break_connection();
            return fail(truncated ? End::truncated : End::reset);
        }
        listener_.counters->sent.add(static_cast<std::uint64_t>(taken));
        const std::size_t of_first = std::min(static_cast<std::size_t>(taken), first.size());
        drop_gathered(of_first);
        more.remove_prefix(static_cast<std::size_t>(taken) - of_first);
        if (static_cast<std::size_t>(taken) < total) return blocked();
        blocked_ = false;
        return Attempt::done;
    }
}

// The kernel takes no more now. It has noted so, and makes an event when there is room again.
Session::Attempt Session::blocked() noexcept {
    const bool over = need_ == Need::writable && take_timed_out();
    if (over || group().is_cut() || deadline_ <= group().wheel().now()) {
        break_connection();
        return fail(group().is_cut() ? End::draining : End::deadline);
    }
    need_ = Need::writable;
    return Attempt::wait;
}

Session::Attempt Session::send_file_part(int file, std::uint64_t& offset, std::uint64_t& left) {
    if (const Attempt sent = send_gathered(MSG_MORE); sent != Attempt::done) return sent;
    std::uint64_t budget = most_of_a_file;
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
        listener_.counters->sent.add(static_cast<std::uint64_t>(taken));
        offset += static_cast<std::uint64_t>(taken);
        left -= static_cast<std::uint64_t>(taken);
        budget -= static_cast<std::uint64_t>(taken);
    }
    blocked_ = false;
    return Attempt::done;
}

// Behind the end of a file that was cut, the rest of its last page reads as zeros. So it is asked
// for its size, and only this once: what the kernel doesn't take now is sent from the file itself.
Session::Attempt Session::send_mapped_part(int file, std::uint64_t& offset, std::uint64_t& left,
                                           std::string_view mapped) {
    struct stat state {};
    const bool is_whole =
        ::fstat(file, &state) == 0 && static_cast<std::uint64_t>(state.st_size) >= offset + left;
    if (!is_whole) return send_file_part(file, offset, left);
    std::string_view rest = mapped.substr(0, left);
    const std::size_t shown = rest.size();
    const Attempt sent = send(rest);
    offset += shown - rest.size();
    left -= shown - rest.size();
    return sent == Attempt::done ? send_file_part(file, offset, left) : sent;
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
    if (group().output().holder() == this) group().output().size = 0;
    if (kept_) kept_->output.clear();
}

}  // namespace preforkd::worker
