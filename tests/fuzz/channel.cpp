#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "shared/channel.hpp"

// Any bytes, with up to three descriptors, as a worker's message and as a master's: each is a whole
// message of a known kind, or refused; and no descriptor stays that nobody has.

namespace {

using namespace preforkd;

/// A new one has this number as long as none is left open.
int next_descriptor() {
    const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(descriptor);
    return descriptor;
}

void send_raw(int socket, const std::uint8_t* data, std::size_t size, unsigned descriptors) {
    iovec bytes{const_cast<std::uint8_t*>(data), size};
    alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))]{};
    msghdr header{};
    header.msg_iov = &bytes;
    header.msg_iovlen = 1;
    if (descriptors > 0) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
        cmsghdr* const rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
        for (unsigned i = 0; i < descriptors; ++i)
            std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &socket, sizeof socket);
    }
    if (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) std::abort();
}

template <class Answer>
void check(const Answer& answer, std::size_t size) {
    if (answer ? size != sizeof(Message) : answer.error().value() != EBADMSG) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const unsigned descriptors = data[0] % 4;
    ++data;
    size = std::min<std::size_t>(size - 1, 4096);
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) std::abort();
    const UniqueFd ours(ends[0]), theirs(ends[1]);
    const int next = next_descriptor();
    send_raw(theirs.get(), data, size, descriptors);
    send_raw(theirs.get(), data, size, descriptors);
    check(receive_from_worker(ours), size);
    check(receive_from_master(ours), size);
    if (next_descriptor() != next) std::abort();
    return 0;
}
