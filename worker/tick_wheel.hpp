#pragma once

#include <array>
#include <cstdint>

namespace preforkd::worker {

/// The worker's coarse clock: seconds that it has lived through since its first connection. A
/// worker that was stopped for a while ages by one second, so that its connections don't all end.
using Tick = std::uint32_t;
inline constexpr Tick never = UINT32_MAX;

/// What stands in a TickWheel; base of it.
class WheelEntry {
  public:
    WheelEntry() noexcept = default;
    WheelEntry(const WheelEntry&) = delete;
    WheelEntry& operator=(const WheelEntry&) = delete;

    /// When it is looked at next.
    [[nodiscard]] Tick due() const noexcept { return due_; }

  private:
    friend class TickWheel;
    WheelEntry* previous_ = this;
    WheelEntry* next_ = this;
    Tick due_ = 0;
};

/// Entries, each to be looked at when its tick comes: at the exact one when it is near, earlier
/// when it is far (the visitor then places it anew). Placing and removing take constant time and
/// no memory.
class TickWheel {
  public:
    static constexpr Tick span = 64;

    [[nodiscard]] Tick now() const noexcept { return now_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Adds a new entry, due at the farthest tick.
    void add(WheelEntry& entry) noexcept {
        ++size_;
        link(entry, never);
    }

    /// Moves an entry to `due`, or as near to it as the wheel goes; a past tick counts as the next.
    void place(WheelEntry& entry, Tick due) noexcept {
        unlink(entry);
        link(entry, due);
    }

    void remove(WheelEntry& entry) noexcept {
        unlink(entry);
        --size_;
    }

    /// Goes on to the next tick and visits what is due. A visitor may place and remove any entry;
    /// what it doesn't place is visited again a whole span later.
    template <class Visitor>
    void advance(Visitor visit) {
        ++now_;
        WheelEntry due_now;
        take_all(due_now, slots_[now_ % span]);
        while (due_now.next_ != &due_now) {
            WheelEntry& entry = *due_now.next_;
            place(entry, never);
            visit(entry);
        }
    }

    /// Visits every entry; the visitor may place or remove the one it is given.
    template <class Visitor>
    void for_each(Visitor visit) {
        WheelEntry all;
        for (WheelEntry& slot : slots_) take_all(all, slot);
        while (all.next_ != &all) {
            WheelEntry& entry = *all.next_;
            place(entry, entry.due_);
            visit(entry);
        }
    }

  private:
    void link(WheelEntry& entry, Tick due) noexcept {
        const Tick ahead = due <= now_ ? 1 : due - now_;
        entry.due_ = now_ + (ahead < span ? ahead : span - 1);
        WheelEntry& slot = slots_[entry.due_ % span];
        entry.previous_ = slot.previous_;
        entry.next_ = &slot;
        slot.previous_->next_ = &entry;
        slot.previous_ = &entry;
    }

    static void unlink(WheelEntry& entry) noexcept {
        entry.previous_->next_ = entry.next_;
        entry.next_->previous_ = entry.previous_;
        entry.previous_ = entry.next_ = &entry;
    }

    // Appends the entries of `from` to those of `into`.
    static void take_all(WheelEntry& into, WheelEntry& from) noexcept {
        if (from.next_ == &from) return;
        from.next_->previous_ = into.previous_;
        into.previous_->next_ = from.next_;
        from.previous_->next_ = &into;
        into.previous_ = from.previous_;
        from.previous_ = from.next_ = &from;
    }

    std::array<WheelEntry, span> slots_;
    std::size_t size_ = 0;
    Tick now_ = 0;
};

}  // namespace preforkd::worker
