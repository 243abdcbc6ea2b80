#include "worker/services/http_body.hpp"

#include <algorithm>

#include "worker/services/http_syntax.hpp"

namespace preforkd::worker::http {

namespace {
constexpr std::uint8_t most_size_digits = 16;  // what 64 bits hold
}

BodyReader::BodyReader(const RequestHead& head, std::uint64_t content_limit) noexcept
    : chunked_(head.body == BodyKind::chunked) {
    if (chunked_) {
        allowed_ = content_limit;
        state_ = State::size_start;
    } else if (head.body == BodyKind::length) {
        left_ = head.content_length;
        state_ = State::data;
        if (left_ > content_limit)
            refuse(Status::content_too_large, "content longer than max_body");
    }
}

BodyResult BodyReader::consume(std::string_view bytes) noexcept {
    std::size_t at = 0;
    while (at < bytes.size() && state_ != State::complete && state_ != State::refused) {
        if (state_ == State::data)
            at += skip_data(bytes.size() - at);
        else
            step(bytes[at++]);
    }
    if (state_ == State::refused) return {BodyResult::Kind::refused, at, refusal_};
    const bool complete = state_ == State::complete;
    return {complete ? BodyResult::Kind::complete : BodyResult::Kind::incomplete, at, {}};
}

std::size_t BodyReader::skip_data(std::size_t available) noexcept {
    const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(available, left_));
    left_ -= skipped;
    taken_ += skipped;
    if (left_ == 0) state_ = chunked_ ? State::data_return : State::complete;
    return skipped;
}

void BodyReader::step(char byte) noexcept {
    switch (state_) {
        case State::size_start:
        case State::size:
        case State::extension:
            return step_size(byte);
        case State::size_line_feed:
            if (byte != '\n') return refuse(Status::bad_request, "bare CR after a chunk size");
            return end_of_size();
        case State::data_return:
            return expect(byte == '\r', State::data_line_feed, "chunk longer than its size");
        case State::data_line_feed:
            return expect(byte == '\n', State::size_start, "bare CR after a chunk");
        default:
            return step_trailer(byte);
    }
}

void BodyReader::step_size(char byte) noexcept {
    if (state_ == State::extension) {
        endure_overhead();
        if (state_ == State::refused) return;
        if (byte == '\r')
            state_ = State::size_line_feed;
        else if (is_forbidden_in_value(byte) || static_cast<unsigned char>(byte) >= 0x80)
            refuse(Status::bad_request, "forbidden character in a chunk extension");
        return;
    }
    if (is(hex_character, byte)) return add_digit(byte);
    if (state_ == State::size_start) return refuse(Status::bad_request, "malformed chunk size");
    if (byte == '\r')
        state_ = State::size_line_feed;
    else if (byte == ';')
        state_ = State::extension;
    else
        refuse(Status::bad_request, "malformed chunk size");
}

void BodyReader::add_digit(char digit) noexcept {
    if (state_ == State::size_start) {
        left_ = 0;
        digits_ = 0;
        state_ = State::size;
    }
    if (++digits_ > most_size_digits) return refuse(Status::bad_request, "chunk size too long");
    left_ = left_ << 4 | hex_value(digit);
}

void BodyReader::end_of_size() noexcept {
    if (left_ > allowed_) return refuse(Status::content_too_large, "content longer than max_body");
    allowed_ -= left_;
    state_ = left_ == 0 ? State::trailer_start : State::data;
}

// Trailers obey the rules of the head's fields, but nobody reads them.
void BodyReader::step_trailer(char byte) noexcept {
    if (state_ == State::last_line_feed)
        return expect(byte == '\n', State::complete, "bare CR after the trailers");
    if (state_ == State::trailer_start && byte == '\r') {
        state_ = State::last_line_feed;
        return;
    }
    endure_overhead();
    if (state_ == State::refused) return;
    if (state_ == State::trailer_line_feed) {
        expect(byte == '\n', State::trailer_start, "bare CR in a trailer");
    } else if (state_ == State::trailer_value) {
        if (byte == '\r')
            state_ = State::trailer_line_feed;
        else if (is_forbidden_in_value(byte))
            refuse(Status::bad_request, "control character or bare LF in a trailer");
    } else if (is(token_character, byte)) {
        state_ = State::trailer_name;
    } else {
        const bool named = state_ == State::trailer_name && byte == ':';
        expect(named, State::trailer_value, "malformed trailer name");
    }
}

void BodyReader::endure_overhead() noexcept {
    if (++overhead_ > overhead_limit)
        refuse(Status::content_too_large, "too much in chunk extensions and trailers");
}

void BodyReader::expect(bool good, State next, const char* otherwise) noexcept {
    if (good)
        state_ = next;
    else
        refuse(Status::bad_request, otherwise);
}

void BodyReader::refuse(Status status, const char* why) noexcept {
    state_ = State::refused;
    refusal_ = {status, why};
}

}  // namespace preforkd::worker::http
