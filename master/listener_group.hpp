#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "master/listener.hpp"
#include "master/steering.hpp"

namespace preforkd::master {

/// A group as the next program takes it over.
struct SavedGroup {
    std::string configured;
    ListenerOptions options;
    std::vector<Member> members;       ///< in the kernel's order
    std::vector<SavedSocket> sockets;  ///< of each
    std::vector<Member> targets;
    std::vector<std::uint32_t> attached;
};

/// Every listening socket of one address: one for each slot, or one that all workers share. The
/// master owns them, and they outlive workers and generations: the worker of a slot gets the same
/// socket in each. Where there are several a steering program says which of them get new
/// connections, and no socket ever joins before it is in place.
class ListenerGroup {
  public:
    /// `configured`: the address as the configuration has it, port 0 included.
    ListenerGroup(Listener first, std::string configured, const ListenerOptions& options);
    /// Goes on with the one that was saved. Requires: it has a socket.
    explicit ListenerGroup(const SavedGroup& saved);
    /// What to go on with; the sockets stay this one's until the exec. Requires: is_open(), it does
    /// not close, and no member leaves.
    [[nodiscard]] SavedGroup save() const;
    ListenerGroup(const ListenerGroup&) = delete;
    ListenerGroup& operator=(const ListenerGroup&) = delete;
    ~ListenerGroup();

    [[nodiscard]] const Address& address() const noexcept { return address_; }
    [[nodiscard]] const std::string& configured() const noexcept { return configured_; }
    /// It is TCP and our own.
    [[nodiscard]] bool may_have_several() const noexcept;
    /// Somebody else made the socket, and keeps it when we go.
    [[nodiscard]] bool is_adopted() const noexcept { return adopted_; }
    /// A socket is left of it.
    [[nodiscard]] bool is_open() const noexcept { return !sockets_.empty(); }

    [[nodiscard]] std::vector<Member> members() const;
    /// Requires: it exists.
    [[nodiscard]] const UniqueFd& socket(Member member) const;

    /// Makes the socket of that slot, if there is none; nobody is steered to it yet.
    /// Errors: as Listener::open(); ENOMEM, EINVAL  the kernel takes no steering program.
    error_code provide(Member member);

    /// Makes backlog and deferral so, now and for sockets to come, but not for those that leave.
    void apply(const ListenerOptions& options) noexcept;

    /// From now on new connections go to one of these at random. Does nothing when they go there
    /// already. Errors: ENOMEM  more than net.core.optmem_max allows.
    error_code steer(const std::vector<Member>& targets);

    /// That socket gets no new clients any more, but for those in its queue; or it does again.
    void set_leaving(Member member, bool leaves) noexcept;

    /// Lets no new client in: their connection requests are dropped, so that they try again, after
    /// a second at first, and find whoever listens here by then. A unix socket's path is removed
    /// instead. Returns how it was done, or why it can't be done (its clients will be refused).
    enum class Closing { by_filter, by_sink, by_path, not_at_all };
    Closing close_softly();
    /// The opposite; not for unix sockets, whose path is gone.
    void take_back();
    [[nodiscard]] bool is_closing() const noexcept { return closing_.has_value(); }

    /// Whether a connection waits to be accepted.
    [[nodiscard]] bool has_queue(Member member) const noexcept;

    /// Whether clients can come to it.
    [[nodiscard]] bool listens(Member member) const noexcept;
    /// Binds and listens anew in that socket's place; workers that have the old one can't accept
    /// any more. Errors: as Listener::open(); ENOTSUP  somebody else made it.
    error_code renew(Member member);

    /// Takes the socket out of the group and closes it. Workers that have it still can't accept
    /// from it any more. Returns false if others may have got clients that weren't meant for them.
    bool remove(Member member);

  private:
    error_code attach(const std::vector<Member>& targets) noexcept;
    error_code make_sink();
    void remove_sink();

    Address address_;
    std::string configured_;
    ListenerOptions options_;
    bool adopted_;
    std::map<Member, Listener> sockets_;
    std::vector<Member> leaving_;
    GroupOrder order_;
    std::vector<Member> targets_;          ///< that were asked for last
    std::vector<std::uint32_t> attached_;  ///< indexes that the program in place names; none yet
    std::optional<Closing> closing_;
    std::optional<Listener> sink_;
    UniqueFd sink_filler_;  ///< the connection that fills the sink's queue
};

}  // namespace preforkd::master
