#include "worker/access_log.hpp"

#include "shared/syscalls.hpp"

namespace preforkd::worker {
namespace {

constexpr std::size_t enough = 32 * 1024;
constexpr std::chrono::seconds longest_wait{1};

}  // namespace

AccessLog::AccessLog(boost::asio::io_context& context, LogFormat format)
    : format_(format), timer_(context) {}

void AccessLog::redirect(UniqueFd file) {
    flush();
    file_ = std::move(file);
}

void AccessLog::append(std::string_view line) {
    if (!file_.is_open()) return;
    gathered_ += line;
    if (gathered_.size() >= enough) return flush();
    if (!armed_) arm();
}

void AccessLog::flush() {
    if (gathered_.empty()) return;
    // O_APPEND and one write: other workers' lines can't come between ours.
    if (write_all(file_.get(), gathered_)) dropped_bytes_ += gathered_.size();
    gathered_.clear();
}

void AccessLog::arm() {
    armed_ = true;
    timer_.expires_after(longest_wait);
    timer_.async_wait([this](const boost::system::error_code& error) {
        armed_ = false;
        if (!error) flush();
    });
}

}  // namespace preforkd::worker
