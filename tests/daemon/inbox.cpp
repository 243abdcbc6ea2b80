#include "inbox.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "deadline.hpp"

namespace preforkd::testing {
namespace {

UniqueFd bind_datagrams(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    BOOST_REQUIRE(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, path.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    BOOST_REQUIRE(
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    // The server may run as another user than the test.
    BOOST_REQUIRE(::chmod(path.c_str(), 0666) == 0);
    return socket;
}

}  // namespace

Inbox::Inbox(std::string notify, std::string log)
    : log_path_(std::move(log)), notify_socket_(bind_datagrams(notify)) {
    BOOST_REQUIRE(::mkfifo(log_path_.c_str(), 0600) == 0);
}

void Inbox::open_log() {
    log_fifo_.reset(::open(log_path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    log_keeper_.reset(::open(log_path_.c_str(), O_WRONLY | O_CLOEXEC));
    BOOST_REQUIRE(log_keeper_.is_open());
}

void Inbox::mark() {
    gather();
    marked_note_ = notes_.size();
    marked_log_ = log_.rfind('\n') == std::string::npos ? 0 : log_.rfind('\n') + 1;
}

bool Inbox::wait_until(const std::function<bool()>& condition, int process) {
    const Deadline deadline;
    for (;;) {
        std::vector<pollfd> entries;
        for (const int descriptor :
             {process, notify_socket_.get(), log_fifo_.get(), printed_pipe_.get()})
            entries.push_back({descriptor, POLLIN, 0});
        // What the condition itself gathers may come after it has looked for it.
        const std::size_t before = size_seen();
        if (condition()) return true;
        if (size_seen() != before) continue;
        if (!wait_for_any(entries, deadline)) return false;
        gather();
        if (entries.front().revents != 0) return condition();
    }
}

std::size_t Inbox::size_seen() const {
    return notes_.size() + log_.size() + printed_.size();
}

void Inbox::gather() {
    char message[4096];
    for (;;) {
        const ssize_t size = ::recv(notify_socket_.get(), message, sizeof message, 0);
        if (size < 0) break;
        notes_.emplace_back(message, static_cast<std::size_t>(size));
    }
    if (!gather_from(log_fifo_, log_)) log_fifo_.reset();
    if (!gather_from(printed_pipe_, printed_)) printed_pipe_.reset();
}

/// False when nobody can write to it any more.
bool Inbox::gather_from(UniqueFd& pipe, std::string& text) const {
    if (!pipe.is_open()) return true;
    char chunk[16384];
    for (;;) {
        pollfd entry{pipe.get(), POLLIN, 0};
        if (::poll(&entry, 1, 0) <= 0) return true;
        const ssize_t size = ::read(pipe.get(), chunk, sizeof chunk);
        if (size <= 0) return size < 0 && errno == EAGAIN;
        text.append(chunk, static_cast<std::size_t>(size));
    }
}

bool Inbox::wait_for_end_of_log() {
    log_keeper_.reset();
    return wait_until([this] { return !log_fifo_.is_open(); });
}

std::vector<std::string> Inbox::notes() const {
    return {notes_.begin() + static_cast<std::ptrdiff_t>(marked_note_), notes_.end()};
}

std::vector<std::string> Inbox::log_lines() const {
    std::vector<std::string> lines;
    for (std::size_t begin = marked_log_;;) {
        const std::size_t end = log_.find('\n', begin);
        if (end == std::string::npos) return lines;
        lines.push_back(log_.substr(begin, end - begin));
        begin = end + 1;
    }
}

bool holds_all(std::string_view text, const std::vector<std::string>& parts) {
    return std::all_of(parts.begin(), parts.end(), [text](const std::string& part) {
        return text.find(part) != std::string_view::npos;
    });
}

}  // namespace preforkd::testing
