#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/unique_fd.hpp"

namespace preforkd::testing {

/// Everything that a server says, gathered without a thread while somebody waits for it: messages
/// to NOTIFY_SOCKET, the error log, which is a FIFO, and the terminal's side of its descriptors 1
/// and 2. Nothing sleeps: a wait ends with what it waits for, or the test fails at its deadline.
class Inbox {
  public:
    /// Binds the datagram socket `notify` and makes the FIFO `log`.
    Inbox(std::string notify, std::string log);

    /// Opens the log for reading; to be called before a server is started.
    void open_log();
    /// What a server prints on its inherited descriptors comes through `pipe`.
    void listen_to(UniqueFd pipe) { printed_pipe_ = std::move(pipe); }

    /// From now on waits don't see what has come before.
    void mark();

    /// Waits for the condition to come true. Returns false at the deadline, and when `process`, the
    /// pidfd of somebody without whom it can't come true any more, has ended.
    [[nodiscard]] bool wait_until(const std::function<bool()>& condition, int process = -1);
    /// Takes what is already there.
    void gather();

    /// Messages and complete log lines since the mark.
    [[nodiscard]] std::vector<std::string> notes() const;
    [[nodiscard]] std::vector<std::string> log_lines() const;
    /// Since the beginning.
    [[nodiscard]] const std::vector<std::string>& all_notes() const { return notes_; }
    [[nodiscard]] const std::string& whole_log() const { return log_; }
    [[nodiscard]] const std::string& printed() const { return printed_; }

    /// Waits until nobody has the log open for writing; false at the deadline.
    [[nodiscard]] bool wait_for_end_of_log();
    /// Nobody has the inherited descriptors open any more.
    [[nodiscard]] bool printed_is_closed() const { return !printed_pipe_.is_open(); }

  private:
    [[nodiscard]] std::size_t size_seen() const;
    bool gather_from(UniqueFd& pipe, std::string& text) const;

    std::string log_path_;
    UniqueFd notify_socket_, log_fifo_, printed_pipe_;
    UniqueFd log_keeper_;  ///< a writer of our own: the log must not end between two servers
    std::vector<std::string> notes_;
    std::string log_, printed_;
    std::size_t marked_note_ = 0, marked_log_ = 0;
};

/// Whether `text` holds every one of `parts`.
[[nodiscard]] bool holds_all(std::string_view text, const std::vector<std::string>& parts);

}  // namespace preforkd::testing
