#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "shared/types.hpp"
#include "worker/services/board_protocol.hpp"
#include "worker/services/board_report.hpp"
#include "worker/services/board_store.hpp"
#include "worker/services/board_writer.hpp"

namespace preforkd::worker::board {

/// What is known of one connection; small, because most of them idle.
struct Visit {
    explicit Visit(std::size_t max_line) : reader(max_line) {}

    LineReader reader;
    std::string poster;             ///< empty: has not said who
    std::shared_ptr<WriteJob> job;  ///< messages to be written before anything else is answered
    std::uint64_t list_next = 0;    ///< of a LIST or WATCH that goes on: from here
    std::uint64_t list_end = 0;     ///< ... up to here, without it; of WATCH, what was there before
    std::uint64_t listed = 0;
    std::uint64_t watch_from = no_number;  ///< of WATCH; no_number: only what comes
    std::uint32_t commands = 0;            ///< taken so far
    bool is_listing = false;
    bool has_watched = false;  ///< the line that ended a WATCH may be empty

    /// Of WATCH: was all shown that was there when it began?
    [[nodiscard]] bool has_shown_past() const noexcept { return list_next >= list_end; }
};

/// Answers commands: lines in, replies out. Knows no sockets, and leaves writing to a Writer.
class Clerk {
  public:
    /// `reader` outlives the clerk.
    Clerk(Reader& reader, Report report) : reader_(reader), report_(std::move(report)) {}

    /// What is to be done before going on.
    enum class Step : std::uint8_t {
        read,   ///< wait for more; `received` is used up
        flush,  ///< send what there is
        write,  ///< have visit.job written, then answer_writes()
        watch,  ///< show_new() until a line comes
        close,  ///< send what there is and end
    };

    /// Takes whole lines off the front of `received` and appends their replies to `out`, until it
    /// has more than `room` bytes.
    [[nodiscard]] Step answer(Visit& visit, std::string_view& received, std::string& out,
                              std::size_t room);

    /// Replies to the messages of visit.job, which have been written or not, and forgets it.
    void answer_writes(Visit& visit, std::string& out) const;

    /// Finds out where a WATCH begins, and what there is now.
    void begin_watch(Visit& visit);

    /// Appends the messages that WATCH has not shown, until there is none or `out` has more than
    /// `room` bytes: then false.
    [[nodiscard]] bool show_new(Visit& visit, std::string& out, std::size_t room);

  private:
    class Look;

    [[nodiscard]] Step obey(Visit& visit, const Command& command, Look& look, std::string& out);
    void add_write(Visit& visit, const Command& command) const;
    void read(const Command& command, Look& look, std::string& out);
    void begin_list(Visit& visit, const Command& command, Look& look, std::string& out);
    [[nodiscard]] bool go_on_listing(Visit& visit, Look& look, std::string& out, std::size_t room);
    /// Appends message visit.list_next, and counts it unless it is damaged, which `out` then says.
    void append_next(Visit& visit, const Snapshot& snapshot, std::string& out);
    void report_damage(std::uint64_t number);

    Reader& reader_;
    const Report report_;
    TimePoint quiet_until_;
};

}  // namespace preforkd::worker::board
