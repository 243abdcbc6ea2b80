#include "bench/load/http_reply.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace preforkd::bench {
namespace {

constexpr std::size_t head_limit = 64 * 1024;
constexpr std::string_view blank_line = "\r\n\r\n";

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? char(c + 32) : c;
}

bool same_word(std::string_view text, std::string_view lower_word) {
    return text.size() == lower_word.size() &&
           std::equal(text.begin(), text.end(), lower_word.begin(),
                      [](char a, char b) { return lower(a) == b; });
}

/// Whether a comma-separated field value names `word`. Source: RFC 9110 §5.6.1.
bool lists(std::string_view value, std::string_view word) {
    while (true) {
        const std::size_t comma = std::min(value.find(','), value.size());
        std::string_view item = value.substr(0, comma);
        while (!item.empty() && (item.front() == ' ' || item.front() == '\t'))
            item.remove_prefix(1);
        while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
        if (same_word(item, word)) return true;
        if (comma == value.size()) return false;
        value.remove_prefix(comma + 1);
    }
}

template <class Number>
bool parse_number(std::string_view text, Number& number, int base = 10) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return error == std::errc() && end == text.data() + text.size();
}

/// The three digits of a status line, or 0. Source: RFC 9112 §4.
int status_of(std::string_view line) {
    int status = 0;
    const bool is_http1 = line.size() >= 12 && line.starts_with("HTTP/1.") && line[8] == ' ' &&
                          (line.size() == 12 || line[12] == ' ');
    return is_http1 && parse_number(line.substr(9, 3), status) && status >= 100 ? status : 0;
}

}  // namespace

std::size_t HttpReplyReader::read(std::string_view bytes, std::uint64_t,
                                  std::optional<Reply>& reply) {
    std::size_t used = 0;
    while (!reply && used < bytes.size()) {
        const std::string_view rest = bytes.substr(used);
        switch (part_) {
            case Part::head:
                used += read_head(rest, reply);
                break;
            case Part::body:
            case Part::body_to_end:
            case Part::chunk:
                used += read_body(rest, reply);
                break;
            default:
                used += read_chunk_line(rest, reply);
        }
    }
    return used;
}

std::size_t HttpReplyReader::read_head(std::string_view bytes, std::optional<Reply>& reply) {
    if (partial_.empty()) {
        const std::size_t end = bytes.find(blank_line);
        if (end != bytes.npos) {
            parse_head(bytes.substr(0, end + 2));
            choose_body(reply);
            return end + blank_line.size();
        }
    }
    const std::size_t before = partial_.size();
    partial_ += bytes;
    const std::size_t end = partial_.find(blank_line, before < 3 ? 0 : before - 3);
    if (end == partial_.npos) {
        if (partial_.size() > head_limit) reply = fail(Failure::bad_status);
        return bytes.size();
    }
    const std::string head = std::exchange(partial_, {});
    parse_head(std::string_view(head).substr(0, end + 2));
    choose_body(reply);
    return end + blank_line.size() - before;
}

void HttpReplyReader::parse_head(std::string_view head) {
    chunked_ = has_length_ = false;
    left_ = generation_ = 0;
    status_ = status_of(head.substr(0, head.find("\r\n")));
    closes_ = head.starts_with("HTTP/1.0");
    head.remove_prefix(head.find("\r\n") + 2);
    while (!head.empty()) {
        const std::size_t end = head.find("\r\n");
        const std::size_t colon = head.find(':');
        if (colon < end) {
            std::string_view value = head.substr(colon + 1, end - colon - 1);
            while (value.starts_with(' ')) value.remove_prefix(1);
            parse_field(head.substr(0, colon), value);
        }
        head.remove_prefix(end + 2);
    }
}

void HttpReplyReader::parse_field(std::string_view name, std::string_view value) {
    const char first = name.empty() ? '\0' : lower(name[0]);
    if (first == 'c' && same_word(name, "content-length")) {
        has_length_ = true;
        if (!parse_number(value, left_)) status_ = 0;
    } else if (first == 'c' && same_word(name, "connection")) {
        if (lists(value, "close"))
            closes_ = true;
        else if (lists(value, "keep-alive"))
            closes_ = false;
    } else if (first == 't' && same_word(name, "transfer-encoding")) {
        chunked_ = lists(value, "chunked");
    } else if (!expectation_.generation_header.empty() &&
               same_word(name, expectation_.generation_header)) {
        parse_number(value, generation_);
    }
}

void HttpReplyReader::choose_body(std::optional<Reply>& reply) {
    const bool interim = status_ >= 100 && status_ < 200;
    if (status_ == 0) {
        reply = fail(Failure::bad_status);
    } else if (interim) {
        part_ = Part::head;
    } else if (head_only_ || status_ == 204 || status_ == 304) {
        reply = finish();
    } else if (chunked_) {
        part_ = Part::chunk_size;
    } else if (!has_length_) {
        part_ = Part::body_to_end;
    } else if (left_ == 0) {
        reply = finish();
    } else {
        part_ = Part::body;
    }
}

std::size_t HttpReplyReader::read_body(std::string_view bytes, std::optional<Reply>& reply) {
    if (part_ == Part::body_to_end) {
        body_.add(bytes);
        return bytes.size();
    }
    const std::size_t taken = std::size_t(std::min<std::uint64_t>(left_, bytes.size()));
    body_.add(bytes.substr(0, taken));
    left_ -= taken;
    if (left_ == 0) {
        if (part_ == Part::body)
            reply = finish();
        else
            part_ = Part::chunk_end;
    }
    return taken;
}

std::size_t HttpReplyReader::read_chunk_line(std::string_view bytes, std::optional<Reply>& reply) {
    const std::size_t end = bytes.find('\n');
    const std::size_t taken = end == bytes.npos ? bytes.size() : end + 1;
    partial_ += bytes.substr(0, taken);
    if (partial_.size() > head_limit) reply = fail(Failure::bad_status);
    if (reply || end == bytes.npos) return taken;
    std::string line = std::exchange(partial_, {});
    line.resize(line.size() - (line.ends_with("\r\n") ? 2 : 1));
    take_chunk_line(line, reply);
    return taken;
}

void HttpReplyReader::take_chunk_line(std::string_view line, std::optional<Reply>& reply) {
    switch (part_) {
        case Part::chunk_size:
            if (!parse_number(line.substr(0, line.find(';')), left_, 16)) {
                reply = fail(Failure::bad_status);
                return;
            }
            part_ = left_ == 0 ? Part::trailer : Part::chunk;
            return;
        case Part::chunk_end:
            if (line.empty())
                part_ = Part::chunk_size;
            else
                reply = fail(Failure::bad_status);
            return;
        default:
            if (line.empty()) reply = finish();
    }
}

std::optional<Reply> HttpReplyReader::at_end_of_stream() {
    if (part_ != Part::body_to_end) return std::nullopt;
    closes_ = true;
    return finish();
}

Reply HttpReplyReader::finish() {
    Reply reply;
    reply.closes = closes_;
    reply.generation = generation_;
    const bool right = body_.finish() || head_only_;
    if (status_ != expectation_.status)
        reply.failure = Failure::bad_status;
    else if (!right)
        reply.failure = Failure::wrong_content;
    part_ = Part::head;
    return reply;
}

// After this nothing is known of where the next answer begins, so the connection has to go.
Reply HttpReplyReader::fail(Failure failure) {
    restart();
    Reply reply;
    reply.failure = failure;
    reply.closes = true;
    return reply;
}

void HttpReplyReader::restart() {
    part_ = Part::head;
    partial_.clear();
    body_.restart();
}

bool HttpReplyReader::is_farewell(std::string_view bytes) const {
    return status_of(bytes.substr(0, bytes.find("\r\n"))) == 408;
}

}  // namespace preforkd::bench
