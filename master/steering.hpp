#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "shared/types.hpp"

// Which of the sockets that share an address get new connections. Pure: it decides, and the
// listener group carries it out.

namespace preforkd::master {

/// A socket among those of one address: the number of the slot it belongs to.
using Member = std::uint32_t;

/// Mirrors the order in which the kernel numbers the sockets of a SO_REUSEPORT group, for a
/// steering program names them by that number. Source: net/core/sock_reuseport.c,
/// reuseport_add_sock() and __reuseport_detach_sock().
class GroupOrder {
  public:
    /// It began to listen: it is the last one now. Requires: it isn't in.
    void joined(Member member);
    /// It stopped listening: the last one takes its place.
    void left(Member member);

    [[nodiscard]] std::optional<std::uint32_t> index_of(Member member) const;
    [[nodiscard]] std::uint32_t size() const noexcept {
        return static_cast<std::uint32_t>(members_.size());
    }
    [[nodiscard]] Member at(std::uint32_t index) const { return members_.at(index); }

    /// Those of `members` whose index stays the same when `leaver` leaves.
    [[nodiscard]] std::vector<Member> unmoved_by(Member leaver,
                                                 const std::vector<Member>& members) const;

  private:
    std::vector<Member> members_;
};

/// A classic BPF program for SO_ATTACH_REUSEPORT_CBPF that gives each new connection to one of
/// `indexes` at random, all alike. At most 3 instructions for each gap between them, so that 1024
/// slots fit whichever of them are named. Requires: not empty, distinct.
/// Source: socket(7), SO_ATTACH_REUSEPORT_CBPF.
[[nodiscard]] std::vector<sock_filter> steer_to(std::vector<std::uint32_t> indexes);

/// How well a socket is attended to. The better, the smaller.
enum class Standing : std::uint8_t {
    served,  ///< a READY worker accepts from it
    full,    ///< its worker can't take any more for now
    unmet,   ///< its worker is not READY, dead or hung
};

/// Each socket that a slot is to have, by the best that its workers do for it.
using Standings = std::map<Member, Standing>;

/// The sockets that new connections go to: those that are served; if there is none the full ones,
/// whose workers live and make room; if there is none of them either all, for one worker is as good
/// as another, and the first that comes back serves its queue.
[[nodiscard]] std::vector<Member> targets_of(const Standings& standings);

/// What is known of workers besides their state: which of them hang, and which are full.
class Health {
  public:
    void set_healthy(Pid pid, bool healthy) { set(pid, hung, !healthy); }
    void set_full(Pid pid, bool is_full) { set(pid, full, is_full); }
    [[nodiscard]] bool is_full(Pid pid) const;
    void forget(Pid pid) { marks_.erase(pid); }

    /// Of a socket whose worker `pid` is READY.
    [[nodiscard]] Standing standing_of(Pid pid) const;

  private:
    enum Mark : std::uint8_t { hung = 1, full = 2 };
    void set(Pid pid, Mark mark, bool is_set);

    std::map<Pid, std::uint8_t> marks_;  ///< of those that have any
};

/// Decides when a socket that gets no new clients may close: when nobody waits in its queue and
/// every handshake that was under way has ended. It asks to be looked at in growing intervals.
class Departure {
  public:
    /// No longer than this, however many are left. A client that connected and is silent under
    /// TCP_DEFER_ACCEPT shows within about a second of switching that off.
    static constexpr milliseconds limit{3'000};

    Departure(TimePoint now, milliseconds at_most);

    /// When looked() is due.
    [[nodiscard]] TimePoint next_look() const noexcept { return next_look_; }

    /// `handshakes` are those under way at its address, by what identifies each, sorted; other
    /// sockets' too, which is why only those of the first look are waited for. Returns whether it
    /// may close.
    bool looked(TimePoint now, bool has_queue, const std::vector<std::uint64_t>& handshakes);

    /// It may close although somebody still waited.
    [[nodiscard]] bool gave_up() const noexcept { return gave_up_; }

    /// Look at it once more, for new clients may have come again.
    void look_again(TimePoint now);

  private:
    TimePoint deadline_;
    TimePoint next_look_;
    milliseconds interval_;
    std::optional<std::vector<std::uint64_t>> awaited_;
    bool gave_up_ = false;
};

}  // namespace preforkd::master
