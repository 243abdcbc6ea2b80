#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/services/http_parser.hpp"

namespace preforkd::worker::http {

struct BodyResult {
    enum class Kind : std::uint8_t { incomplete, complete, refused };
    Kind kind = Kind::incomplete;
    std::size_t consumed = 0;  ///< bytes of the input that belong to the body
    Refusal refusal;           ///< when refused
};

/// Finds the end of a request's body, which is discarded: content of a given length, or chunks with
/// extensions and trailers, of which at most `overhead_limit` bytes are endured. Holds no bytes,
/// and how they are split between calls changes nothing. Source: RFC 9112 §6, §7.1.
class BodyReader {
  public:
    /// A reader for the body that `head` announces; more than `content_limit` bytes of content are
    /// refused with 413.
    BodyReader(const RequestHead& head, std::uint64_t content_limit) noexcept;

    /// Takes what comes next. Once complete or refused it must not be called again.
    [[nodiscard]] BodyResult consume(std::string_view bytes) noexcept;

    /// Bytes of content taken so far, for the minimum rate.
    [[nodiscard]] std::uint64_t content_taken() const noexcept { return taken_; }

    static constexpr std::uint32_t overhead_limit = 16 * 1024;

  private:
    enum class State : std::uint8_t {
        size_start,
        size,
        extension,
        size_line_feed,
        data,
        data_return,
        data_line_feed,
        trailer_start,
        trailer_name,
        trailer_value,
        trailer_line_feed,
        last_line_feed,
        complete,
        refused,
    };

    std::size_t skip_data(std::size_t available) noexcept;
    void step(char byte) noexcept;
    void step_size(char byte) noexcept;
    void step_trailer(char byte) noexcept;
    void add_digit(char digit) noexcept;
    void end_of_size() noexcept;
    void endure_overhead() noexcept;
    void expect(bool good, State next, const char* otherwise) noexcept;
    void refuse(Status status, const char* why) noexcept;

    std::uint64_t left_ = 0;     // content still to come, of all or of this chunk
    std::uint64_t allowed_ = 0;  // content that further chunks may still bring
    std::uint64_t taken_ = 0;
    std::uint32_t overhead_ = 0;
    std::uint8_t digits_ = 0;
    State state_ = State::complete;
    bool chunked_ = false;
    Refusal refusal_;
};

}  // namespace preforkd::worker::http
