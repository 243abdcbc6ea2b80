#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "shared/result.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"

// What master and worker say to each other: messages of one fixed size over a SOCK_SEQPACKET pair.
// The master trusts nothing it receives: another size, an unknown kind, a kind that only the master
// may send, a text without its end, or a passed descriptor make the message invalid. A descriptor
// must not even arrive: who drops it may have its last one, and then ends what it stands for. A TCP
// connection with SO_LINGER made a master wait for ten minutes so. See refuse_descriptors().

namespace preforkd {

/// The worker finds its end of the channel here.
inline constexpr int channel_fd = 3;

enum class MessageKind : std::uint32_t {
    // master to worker
    setup = 1,       ///< descriptor: the configuration as text; text: the slot's name
    listener,        ///< descriptor: a listening socket of section `section`
    path,            ///< descriptor: what key `text` of section `section` names
    output_log,      ///< descriptor: the new fd 1
    error_log,       ///< descriptor: the new fd 2
    access_log,      ///< descriptor: where access-log lines go
    page,            ///< descriptor: its own page of the scoreboard
    hang_timer,      ///< descriptor: the timer of its dead man's switch
    scoreboard,      ///< descriptor: the master's page; to services that read the scoreboard
    other_page,      ///< descriptor: worker page number `section`; to the same
    start,           ///< everything was sent: build the services, then say ready
    keep_listening,  ///< comes before `drain`, which then doesn't concern listening socket number
                     ///< `section`, in the order in which they were handed over, from 0
    drain,           ///< accept no more, finish, leave
    stop_listening,  ///< accept what waits at listening socket number `section`, then close it
    kernel,          ///< what to confine itself by: `section`: Landlock's version; text: "seccomp"
    copies,          ///< descriptor: FileCopies, the files that services' keys say are copied
    // worker to master
    ready = 100,  ///< accepts from now on
    failed,       ///< can't start, or can't go on; text: why
    stopped,      ///< has closed listening socket number `section`
    full,         ///< `section` 1: can't accept for want of descriptors or memory; 0: can again
    recycle,      ///< wants a successor; text: why
    deaf,         ///< a listening socket of it doesn't listen any more
};

/// One message; sent as it lies in memory, for both ends are the same program on the same machine.
struct Message {
    MessageKind kind{};
    std::uint32_t section = 0;     ///< index of the listen section, or as the kind says
    std::uint64_t generation = 0;  ///< with `setup`
    std::array<char, 240> text{};  ///< ends with at least one NUL

    /// Keeps what fits and ends it with NUL.
    void set_text(std::string_view value) noexcept;
    [[nodiscard]] std::string_view get_text() const noexcept;
};
static_assert(sizeof(Message) == 256);

/// A received message with the descriptor that came along, if any.
struct Received {
    Message message;
    UniqueFd descriptor;
};

/// Sends without waiting; by sendmsg(2), which workers may not call, only with a descriptor.
/// Errors: EAGAIN  the peer doesn't read; EPIPE  it has gone.
error_code send_message(const UniqueFd& channel, const Message& message,
                        int descriptor = -1) noexcept;

/// Master's side: takes one message from a worker; never accepts a descriptor.
/// Errors: EAGAIN  none pending; EPIPE  the worker closed its end; EBADMSG  anything invalid.
[[nodiscard]] Result<Message> receive_from_worker(const UniqueFd& channel) noexcept;

/// Worker's side: takes one message from the master, waiting for it if the channel is blocking.
/// Errors: as receive_from_worker(); EMFILE  no descriptor is free for the one that came with it,
/// and both are lost.
[[nodiscard]] Result<Received> receive_from_master(const UniqueFd& channel) noexcept;

}  // namespace preforkd
