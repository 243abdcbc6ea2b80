#include "bench/load/redis_reply.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace preforkd::bench {
namespace {

constexpr std::size_t line_limit = 64 * 1024;

std::optional<std::int64_t> number_in(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

std::size_t RedisReplyReader::read(std::string_view bytes, std::uint64_t,
                                   std::optional<Reply>& reply) {
    std::size_t used = 0;
    while (!reply && used < bytes.size()) {
        const std::string_view rest = bytes.substr(used);
        if (in_bulk_) {
            used += read_bulk(rest, reply);
            continue;
        }
        const std::size_t end = rest.find('\n');
        const std::size_t taken = end == rest.npos ? rest.size() : end + 1;
        partial_ += rest.substr(0, taken);
        used += taken;
        if (end == rest.npos && partial_.size() <= line_limit) return used;
        take_line(std::exchange(partial_, {}), reply);
    }
    return used;
}

void RedisReplyReader::take_line(std::string_view line, std::optional<Reply>& reply) {
    const char type = line.front();
    if (!line.ends_with("\r\n") || std::string_view("+-:$*").find(type) == std::string_view::npos) {
        restart();
        reply = Reply{Failure::bad_status, true, 0};
        return;
    }
    const std::string_view text = line.substr(1, line.size() - 3);
    if (type == '-') failure_ = Failure::bad_status;
    if (type == '+' || type == '-' || type == ':') return finish_element(reply);
    const std::int64_t count = number_in(text).value_or(-1);
    if (count < 0) failure_ = Failure::wrong_content;
    if (type == '$' && count >= 0) {
        in_bulk_ = true;
        bulk_left_ = std::uint64_t(count) + 2;
        return;
    }
    if (type == '*' && count > 0) {
        // A nested array takes the place of one element of the array around it.
        elements_left_ += std::uint64_t(count) - (elements_left_ > 0 ? 1 : 0);
        return;
    }
    finish_element(reply);
}

std::size_t RedisReplyReader::read_bulk(std::string_view bytes, std::optional<Reply>& reply) {
    const std::size_t taken = std::size_t(std::min<std::uint64_t>(bulk_left_, bytes.size()));
    if (bulk_left_ > 2)
        body_.add(bytes.substr(0, std::size_t(std::min<std::uint64_t>(bulk_left_ - 2, taken))));
    bulk_left_ -= taken;
    if (bulk_left_ == 0) {
        in_bulk_ = false;
        if (!body_.finish() && !failure_) failure_ = Failure::wrong_content;
        finish_element(reply);
    }
    return taken;
}

void RedisReplyReader::finish_element(std::optional<Reply>& reply) {
    if (elements_left_ > 1) {
        --elements_left_;
        return;
    }
    elements_left_ = 0;
    Reply result;
    result.failure = std::exchange(failure_, std::nullopt);
    reply = result;
}

void RedisReplyReader::restart() {
    in_bulk_ = false;
    bulk_left_ = elements_left_ = 0;
    partial_.clear();
    failure_.reset();
    body_.restart();
}

}  // namespace preforkd::bench
