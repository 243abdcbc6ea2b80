#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "shared/counter.hpp"
#include "shared/types.hpp"

// The counters of a running server, in memory that its processes share. Each worker life has a page
// of its own, which it alone can write; the master has one that says which pages there are and what
// dead workers left. Everybody else maps both read-only. Nothing here is ever trusted to be sound:
// a worker can write what it likes into its own page.

namespace preforkd {

/// Of the layout below; a reader of another number can't read it.
inline constexpr std::uint32_t scoreboard_version = 1;

static_assert(sizeof(Counter) == 8 && std::atomic<std::uint64_t>::is_always_lock_free);

/// How long requests took: log-linear, four buckets to each doubling, from 256 ns to about 34 s.
/// A request's time begins when its first bytes were received and ends when the kernel has taken
/// the last of its response.
struct DurationBuckets {
    static constexpr std::size_t count = 104;

    /// The bucket of a duration in nanoseconds; the last one takes all that is longer.
    [[nodiscard]] static constexpr std::size_t index_of(std::uint64_t nanoseconds) noexcept {
        const std::uint64_t units = nanoseconds / 256;
        if (units < 4) return static_cast<std::size_t>(units);
        const auto doubling = static_cast<unsigned>(63 - __builtin_clzll(units));
        const std::size_t index = (doubling - 1) * 4 + ((units >> (doubling - 2)) & 3);
        return index < count ? index : count - 1;
    }

    /// Where a bucket ends, in nanoseconds; what lies in it took less.
    [[nodiscard]] static constexpr std::uint64_t end_of(std::size_t bucket) noexcept {
        const std::size_t next = bucket + 1;
        if (next < 4) return next * 256;
        return ((4 + next % 4) << (next / 4 - 1)) * 256;
    }
};

/// Most metrics that one service can declare of its own.
inline constexpr std::size_t most_metrics = 16;

/// What happened on the connections of one listen section.
struct SectionCounters {
    Counter accepted;                  ///< connections taken
    Counter closed;                    ///< ... that have ended; the rest is open
    Counter failures;                  ///< connections that ended by an error of the service
    Counter received;                  ///< bytes
    Counter sent;                      ///< bytes
    std::array<Counter, 6> responses;  ///< requests by first digit of the status; [0]: it has none
    Counter duration_sum;              ///< nanoseconds
    std::array<Counter, DurationBuckets::count> durations;
    std::array<Counter, most_metrics> metrics;  ///< the service's own, in order of declaration
};
static_assert(std::is_standard_layout_v<SectionCounters> && sizeof(SectionCounters) % 8 == 0);

/// What a connection is busy with, so that a crash or a hang can be put down to it.
struct RequestNote {
    static constexpr std::size_t peer_size = 56;
    static constexpr std::size_t text_size = 128;

    Counter connection;                ///< 0: nobody has written here
    Counter in_flight;                 ///< 1 from the first byte of a request to its answer's end
    std::array<char, peer_size> peer;  ///< as text, ending with NUL
    std::array<char, text_size> text;  ///< the beginning of what was received, NUL where it ended
};

/// One life of one worker.
struct WorkerPage {
    static constexpr std::size_t notes_count = 64;
    static constexpr std::size_t most_sections = 128;

    std::uint32_t version = scoreboard_version;
    std::uint32_t sections = 0;  ///< how many SectionCounters follow the page
    Counter memory;              ///< resident, bytes, at the last tick
    Counter cpu;                 ///< user and system, nanoseconds, at the last tick
    Counter log_lines_dropped;   ///< could not be written: the disk is full, or gone
    std::array<RequestNote, notes_count> notes;
};
static_assert(sizeof(WorkerPage) % 8 == 0);

/// Size of the memory of a worker that serves that many sections. Range: [1, most_sections].
[[nodiscard]] std::size_t worker_page_size(std::size_t sections) noexcept;

/// The sections of a page in memory of `size` bytes; none if the page claims more than there is.
[[nodiscard]] std::span<SectionCounters> sections_of(WorkerPage& page, std::size_t size) noexcept;
[[nodiscard]] std::span<const SectionCounters> sections_of(const WorkerPage& page,
                                                           std::size_t size) noexcept;

/// SectionCounters as plain numbers, to add up and to keep.
struct SectionTotals {
    std::uint64_t accepted = 0;
    std::uint64_t closed = 0;
    std::uint64_t failures = 0;
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::array<std::uint64_t, 6> responses{};
    std::uint64_t duration_sum = 0;
    std::array<std::uint64_t, DurationBuckets::count> durations{};
    std::array<std::uint64_t, most_metrics> metrics{};

    /// Adds what a worker counted in `lifetime`. No number counts for more than a machine could do
    /// in that time, so that a page that was scribbled over can't wreck a sum.
    void add(const SectionCounters& counters, std::chrono::nanoseconds lifetime) noexcept;
    /// Makes them those of a worker that has ended: nothing is open any more, and of its own
    /// metrics those whose bit of `gauges` is set are gone with it.
    void end_life(std::uint32_t gauges) noexcept;
    /// Adds totals to totals.
    void add(const SectionTotals& other) noexcept;

    [[nodiscard]] std::uint64_t requests() const noexcept;
    [[nodiscard]] std::uint64_t active() const noexcept {
        return accepted > closed ? accepted - closed : 0;
    }

    /// The duration that a share of the requests stayed below, in nanoseconds; 0 without requests.
    /// Range of `share`: (0, 1].
    [[nodiscard]] std::uint64_t percentile(double share) const noexcept;
};
static_assert(sizeof(SectionTotals) == sizeof(SectionCounters));

// ---- The master's page ----

/// A text of fixed room, cut where it is too long, always ending with NUL.
template <std::size_t Size>
struct FixedText {
    std::array<char, Size> bytes{};

    FixedText() noexcept = default;
    FixedText& operator=(std::string_view text) noexcept {
        bytes.fill('\0');
        const std::size_t length = text.size() < Size ? text.size() : Size - 1;
        for (std::size_t i = 0; i < length; ++i) bytes[i] = text[i];
        return *this;
    }
    [[nodiscard]] std::string_view view() const noexcept {
        std::size_t length = 0;
        while (length < Size && bytes[length] != '\0') ++length;
        return {bytes.data(), length};
    }
};

/// Where the master's life stands, as readers see it.
enum class ServerState : std::uint32_t { starting, serving, reloading, upgrading, stopping };
[[nodiscard]] std::string_view to_string(ServerState state) noexcept;

/// Where a worker's life stands, as readers see it.
enum class PageState : std::uint32_t { starting, serving, hung, draining, ending };
[[nodiscard]] std::string_view to_string(PageState state) noexcept;

/// How a reload or an upgrade ended.
struct Verdict {
    enum class Kind : std::uint32_t { none, start, reload, upgrade };
    Kind kind = Kind::none;
    std::uint32_t accepted = 0;    ///< 1 ok, 0 refused
    std::uint64_t generation = 0;  ///< in service since
    std::uint64_t number = 0;      ///< counts verdicts, so that a waiting caller knows its own
    std::uint64_t orders = 0;      ///< of all MasterFront::orders up to this one
    std::int64_t time = 0;         ///< seconds since 1970
    FixedText<480> text{};         ///< "reload ok", or what was refused and why
};
[[nodiscard]] std::string_view to_string(Verdict::Kind kind) noexcept;

/// A metric that a service declared.
struct MetricEntry {
    enum class Kind : std::uint32_t { none, counter, gauge };
    Kind kind = Kind::none;
    std::uint32_t unused = 0;
    FixedText<64> name{};
    FixedText<120> doc{};
};

/// A listen section, as long as the master has known it; `totals` is what ended workers left.
struct ListenerEntry {
    std::uint32_t in_service = 0;  ///< 0: an earlier configuration's
    std::uint32_t workers = 0;     ///< slots that serve it
    FixedText<64> name{};
    FixedText<64> service{};
    FixedText<64> pool{};
    FixedText<256> addresses{};
    std::array<MetricEntry, most_metrics> metrics{};
    SectionTotals totals{};
};

/// A worker that lives, or is not folded into the totals yet.
struct WorkerEntry {
    std::uint32_t page = 0;        ///< number of its page, never used twice; 0: not READY yet
    std::int32_t descriptor = -1;  ///< of its page in the master: /proc/PID/fd/N
    std::int32_t pid = 0;
    PageState state = PageState::starting;
    std::uint64_t generation = 0;
    std::int64_t spawned_at = 0;  ///< CLOCK_MONOTONIC, nanoseconds
    std::int64_t deadline = 0;    ///< the same: when a draining one is ended; 0: none
    FixedText<64> slot{};
    /// Its section i is the listener of that number.
    std::array<std::uint8_t, WorkerPage::most_sections> listener_of_section{};
};

/// Why workers ended.
enum class ExitKind : std::uint32_t { finished, crashed, hung, killed, failed_to_start };
inline constexpr std::size_t exit_kinds = 5;
[[nodiscard]] std::string_view to_string(ExitKind kind) noexcept;

/// What the master alone knows. Its front, then the tables, of which only the first `listeners`
/// and `workers` rows count.
struct MasterFront {
    FixedText<32> program{};
    FixedText<32> program_version{};
    std::int32_t pid = 0;
    ServerState state = ServerState::starting;
    std::uint64_t generation = 0;
    std::int64_t started_at = 0;    ///< CLOCK_MONOTONIC, nanoseconds; not moved by an upgrade
    std::int64_t started_time = 0;  ///< the same in seconds since 1970
    std::uint64_t orders = 0;       ///< HUPs and USR2s taken; several in a row may count as one
    std::uint32_t ready = 0;        ///< 1: new clients are welcome; 0 from TERM's first moment on
    std::uint32_t listeners = 0;
    std::uint32_t workers = 0;
    std::uint32_t unused = 0;
    std::array<std::uint64_t, exit_kinds> exits{};
    std::array<Verdict, 16> verdicts{};  ///< number N stands at N % 16
    std::uint64_t last_verdict = 0;      ///< its number; 0: none yet
};

struct MasterPage {
    static constexpr std::size_t most_listeners = WorkerPage::most_sections;
    static constexpr std::size_t most_workers = 4096;

    std::uint32_t version = scoreboard_version;
    std::uint32_t size = 0;              ///< of all of this, as its writer has it
    std::atomic<std::uint64_t> changes;  ///< odd while it is being written
    MasterFront front;
    std::array<ListenerEntry, most_listeners> listeners;
    std::array<WorkerEntry, most_workers> workers;
};
static_assert(sizeof(MasterFront) % 8 == 0 && sizeof(ListenerEntry) % 8 == 0 &&
              sizeof(WorkerEntry) % 8 == 0);

/// Name of the master's memory; /proc/PID/fd shows it as "/memfd:NAME (deleted)".
inline constexpr const char* master_page_name = "preforkd-master";
inline constexpr const char* worker_page_name = "preforkd-worker";

/// Copies whole words, each read or written once: what tears is a struct, never a number.
/// Requires: both aligned to 8, `size` a multiple of 8.
void copy_words(void* to, const void* from, std::size_t size) noexcept;

}  // namespace preforkd
