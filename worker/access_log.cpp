#include "worker/access_log.hpp"

#include <unistd.h>

#include <algorithm>

#include "shared/result.hpp"

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
    if (is_cut_) gathered_.insert(0, 1, '\n');
    // O_APPEND and one write: other workers' lines can't come between ours.
    const ssize_t size = ::write(file_.get(), gathered_.data(), gathered_.size());
    const std::string error = size < 0 ? last_error().message() : "No space left on device";
    const std::size_t written = size < 0 ? 0 : static_cast<std::size_t>(size);
    const std::string_view lost = std::string_view(gathered_).substr(written);
    if (written > 0) is_cut_ = gathered_[written - 1] != '\n';
    if (lost.empty())
        report_losses();
    else
        lose(error, static_cast<std::uint64_t>(std::count(lost.begin(), lost.end(), '\n')));
    gathered_.clear();
}

// Said when it begins, since nobody knows when it will end.
void AccessLog::lose(const std::string& why, std::uint64_t lines) {
    if (lost_lines_ == 0 && logger_ != nullptr)
        logger_->error("access log can't be written; lines are lost until it can", {{"why", why}});
    lost_lines_ += lines;
    all_lost_lines_ += lines;
}

void AccessLog::report_losses() {
    if (lost_lines_ == 0) return;
    if (logger_ != nullptr)
        logger_->warning("access log is written again", {{"lines_lost", lost_lines_}});
    lost_lines_ = 0;
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
