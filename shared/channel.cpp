#include "shared/channel.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

namespace preforkd {
namespace {

error_code failure(int number) noexcept {
    return {number, boost::system::system_category()};
}

bool comes_from_master(MessageKind kind) noexcept {
    return kind >= MessageKind::setup && kind <= MessageKind::copies;
}

bool comes_from_worker(MessageKind kind) noexcept {
    return kind >= MessageKind::ready && kind <= MessageKind::deaf;
}

/// A message of no bytes looks like the end of the channel, but only after the end is it hung up.
bool has_ended(const UniqueFd& channel) noexcept {
    pollfd question{channel.get(), POLLRDHUP, 0};
    return ::poll(&question, 1, 0) != 0;
}

/// Receives into `message`; the number of bytes, which with MSG_TRUNC may exceed the message's
/// size.
Result<std::size_t> receive(const UniqueFd& channel, msghdr& header) noexcept {
    for (;;) {
        const ssize_t size = ::recvmsg(channel.get(), &header, MSG_CMSG_CLOEXEC | MSG_TRUNC);
        if (size > 0) return static_cast<std::size_t>(size);
        if (size == 0) return failure(has_ended(channel) ? EPIPE : EBADMSG);
        if (errno == ECONNRESET) return failure(EPIPE);
        if (errno != EINTR) return last_error();
    }
}

bool is_whole(std::size_t size, const Message& message) noexcept {
    return size == sizeof(Message) && message.text.back() == '\0';
}

/// The one descriptor of `header`'s control data. More than one doesn't fit and sets MSG_CTRUNC.
UniqueFd take_descriptor(msghdr& header) noexcept {
    const cmsghdr* control = CMSG_FIRSTHDR(&header);
    if (control == nullptr || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
        return {};
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(control), sizeof descriptor);
    return UniqueFd(descriptor);
}

ssize_t send_with_descriptor(const UniqueFd& channel, Message message, int descriptor,
                             int flags) noexcept {
    iovec part{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const passed = CMSG_FIRSTHDR(&header);
    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(passed), &descriptor, sizeof descriptor);
    return ::sendmsg(channel.get(), &header, flags);
}

}  // namespace

void Message::set_text(std::string_view value) noexcept {
    const std::size_t length = std::min(value.size(), text.size() - 1);
    std::copy_n(value.data(), length, text.data());
    std::fill(text.begin() + static_cast<std::ptrdiff_t>(length), text.end(), '\0');
}

std::string_view Message::get_text() const noexcept {
    return {text.data(), ::strnlen(text.data(), text.size())};
}

error_code send_message(const UniqueFd& channel, const Message& message, int descriptor) noexcept {
    constexpr int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    const auto send = [&] {
        return descriptor >= 0 ? send_with_descriptor(channel, message, descriptor, flags)
                               : ::send(channel.get(), &message, sizeof message, flags);
    };
    while (send() < 0)
        if (errno != EINTR) return last_error();
    return {};
}

Result<Message> receive_from_worker(const UniqueFd& channel) noexcept {
    Message message;
    iovec part{&message, sizeof message};
    msghdr header{};  // without room for control data the kernel drops a passed descriptor
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    const auto size = receive(channel, header);
    if (!size) return size.error();
    if ((header.msg_flags & MSG_CTRUNC) != 0 || !is_whole(*size, message) ||
        !comes_from_worker(message.kind))
        return failure(EBADMSG);
    return message;
}

Result<Received> receive_from_master(const UniqueFd& channel) noexcept {
    Received received;
    iovec part{&received.message, sizeof received.message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = CMSG_LEN(sizeof(int));  // CMSG_SPACE's padding has room for a second
    const auto size = receive(channel, header);
    received.descriptor = take_descriptor(header);  // one may also come with no bytes
    if (!size) return size.error();
    const bool is_cut = (header.msg_flags & MSG_CTRUNC) != 0;
    if (!is_whole(*size, received.message) || !comes_from_master(received.message.kind))
        return failure(EBADMSG);
    if (is_cut) return failure(received.descriptor.is_open() ? EBADMSG : EMFILE);
    return received;
}

}  // namespace preforkd
