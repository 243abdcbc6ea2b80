#include "worker/services/board_clerk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace preforkd::worker::board {
namespace {

constexpr seconds quiet_time{10};

constexpr std::string_view damaged_text =
    "the message is damaged on the disk; the board's keeper has been told";

bool is_to_be_written(const Command& command) noexcept {
    return command.fault.empty() && (command.verb == Verb::write || command.verb == Verb::replace);
}

}  // namespace

/// One look at the board, taken when first needed, for all commands that were received together.
class Clerk::Look {
  public:
    explicit Look(Reader& reader) : reader_(reader) {}

    /// Null: the board can't be read now, and `out` has said so.
    [[nodiscard]] const Snapshot* snapshot(Verb verb, std::string& out) {
        if (taken_) return &*taken_;
        auto snapshot = reader_.snapshot();
        if (!snapshot) {
            append_error(out, verb, snapshot.error().message());
            return nullptr;
        }
        taken_.emplace(std::move(*snapshot));
        return &*taken_;
    }

  private:
    Reader& reader_;
    std::optional<Snapshot> taken_;
};

Clerk::Step Clerk::answer(Visit& visit, std::string_view& received, std::string& out,
                          std::size_t room) {
    Look look(reader_);
    for (;;) {
        if (visit.is_listing && !go_on_listing(visit, look, out, room)) return Step::flush;
        if (out.size() > room) return Step::flush;
        const std::string_view before = received;
        const auto line = visit.reader.next(received);
        if (!line) return visit.job ? Step::write : Step::read;
        const bool ends_watch = std::exchange(visit.has_watched, false);
        if (ends_watch && line->text.empty()) continue;
        const Command command = parse(*line);
        if (visit.job && !is_to_be_written(command)) {
            // It sees the board as it is then. The line is not a kept one, for it isn't the first.
            received = before;
            return Step::write;
        }
        ++visit.commands;
        if (const Step step = obey(visit, command, look, out); step != Step::read) return step;
    }
}

Clerk::Step Clerk::obey(Visit& visit, const Command& command, Look& look, std::string& out) {
    if (!command.fault.empty()) {
        append_error(out, command.verb, command.fault);
        return Step::read;
    }
    switch (command.verb) {
        case Verb::user:
            visit.poster = command.text;
            append_hello(out, command.text);
            break;
        case Verb::read:
            read(command, look, out);
            break;
        case Verb::write:
        case Verb::replace:
            add_write(visit, command);
            break;
        case Verb::list:
        case Verb::last:
            begin_list(visit, command, look, out);
            break;
        case Verb::count:
            if (const auto* snapshot = look.snapshot(command.verb, out))
                append_count(out, snapshot->end() - first_number);
            break;
        case Verb::watch:
            visit.watch_from = command.number;
            return Step::watch;
        case Verb::quit:
            append_bye(out, "see you");
            return Step::close;
        case Verb::unknown:
            break;  // has a fault
    }
    return Step::read;
}

void Clerk::read(const Command& command, Look& look, std::string& out) {
    if (!command.digits.empty()) return append_unknown(out, Verb::read, command.digits);
    const std::uint64_t number = command.number;
    const Snapshot* const snapshot = look.snapshot(Verb::read, out);
    if (snapshot == nullptr) return;
    const auto text = snapshot->read(number);
    if (text) return append_message(out, number, *text);
    if (text.error() == StoreError::unknown_number) return append_unknown(out, Verb::read, number);
    report_damage(number);
    append_error(out, Verb::read, damaged_text);
}

// ---- Writing ----

void Clerk::add_write(Visit& visit, const Command& command) const {
    if (!visit.job) visit.job = std::make_shared<WriteJob>();
    WriteRequest request;
    const std::string_view poster = visit.poster.empty() ? anonymous : visit.poster;
    request.text.reserve(poster.size() + 1 + command.text.size());
    request.text.append(poster).append(1, '/').append(command.text);
    if (command.verb == Verb::replace) request.replaces = command.number;
    if (!command.digits.empty()) request.text = command.digits;  // which no message has
    visit.job->requests.push_back(std::move(request));
}

void Clerk::answer_writes(Visit& visit, std::string& out) const {
    for (const WriteRequest& request : visit.job->requests) {
        if (!request.error)
            append_wrote(out, request.number);
        else if (request.error == StoreError::unknown_number && *request.replaces == no_number)
            append_unknown(out, Verb::replace, request.text);
        else if (request.error == StoreError::unknown_number)
            append_unknown(out, Verb::replace, *request.replaces);
        else
            append_error(out, Verb::write, "not stored: " + request.error.message());
    }
    visit.job.reset();
}

// ---- Showing many ----

void Clerk::begin_list(Visit& visit, const Command& command, Look& look, std::string& out) {
    const Snapshot* const snapshot = look.snapshot(command.verb, out);
    if (snapshot == nullptr) return;
    const std::uint64_t end = snapshot->end();
    std::uint64_t first = command.number;
    if (command.verb == Verb::last) first = end - std::min(command.count, end - first_number);
    visit.list_next = std::min(first, end);
    visit.list_end = visit.list_next + std::min(command.count, end - visit.list_next);
    visit.listed = 0;
    visit.is_listing = true;
}

/// False when it is time to send.
bool Clerk::go_on_listing(Visit& visit, Look& look, std::string& out, std::size_t room) {
    const Snapshot* const snapshot = look.snapshot(Verb::list, out);
    for (; snapshot != nullptr && visit.list_next < visit.list_end; ++visit.list_next) {
        if (out.size() > room) return false;
        append_next(visit, *snapshot, out);
    }
    visit.is_listing = false;
    append_end(out, visit.listed);
    return true;
}

void Clerk::begin_watch(Visit& visit) {
    const auto snapshot = reader_.snapshot();
    visit.list_end = snapshot ? snapshot->end() : no_number;
    visit.list_next = visit.watch_from == no_number ? visit.list_end : visit.watch_from;
    visit.listed = 0;
}

bool Clerk::show_new(Visit& visit, std::string& out, std::size_t room) {
    const auto snapshot = reader_.snapshot();
    if (!snapshot) return true;  // there will be another commit
    for (; visit.list_next < snapshot->end(); ++visit.list_next) {
        if (out.size() > room) return false;
        append_next(visit, *snapshot, out);
    }
    return true;
}

void Clerk::append_next(Visit& visit, const Snapshot& snapshot, std::string& out) {
    const std::uint64_t number = visit.list_next;
    if (const auto text = snapshot.read(number)) {
        append_message(out, number, *text);
        ++visit.listed;
        return;
    }
    report_damage(number);
    append_error(out, Verb::read, fmt::format("message {} is damaged on the disk", number));
}

void Clerk::report_damage(std::uint64_t number) {
    if (Clock::now() < quiet_until_) return;
    quiet_until_ = Clock::now() + quiet_time;  // clients may ask for it as often as they like
    report_(LogLevel::error,
            fmt::format("message {} is damaged; examine the file: preforkctl board check FILE",
                        number));
}

}  // namespace preforkd::worker::board
