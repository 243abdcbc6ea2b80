#pragma once

#include "bench/load/reply.hpp"

namespace preforkd::bench {

/// Reads HTTP/1.x responses: framed by Content-Length, by chunks or by the end of the connection.
/// It checks status, length and, on request, content; it does not validate the head beyond what
/// framing needs. Source: RFC 9112 §4, §6, §7.1, §9.
class HttpReplyReader final : public ReplyReader {
  public:
    /// `head_only`: responses have no body whatever their head says, as those to HEAD.
    HttpReplyReader(const Expectation& expectation, bool head_only)
        : expectation_(expectation), head_only_(head_only), body_(expectation) {}

    std::size_t read(std::string_view bytes, std::uint64_t number,
                     std::optional<Reply>& reply) override;
    std::optional<Reply> at_end_of_stream() override;
    [[nodiscard]] bool inside_reply() const override {
        return part_ != Part::head || !partial_.empty();
    }
    [[nodiscard]] bool ends_with_stream() const override { return part_ == Part::body_to_end; }
    void restart() override;
    [[nodiscard]] ContentCheck* body() override { return &body_; }
    [[nodiscard]] bool is_farewell(std::string_view bytes) const override;

  private:
    enum class Part { head, body, body_to_end, chunk_size, chunk, chunk_end, trailer };

    std::size_t read_head(std::string_view bytes, std::optional<Reply>& reply);
    void parse_head(std::string_view head);
    void parse_field(std::string_view name, std::string_view value);
    void choose_body(std::optional<Reply>& reply);
    std::size_t read_body(std::string_view bytes, std::optional<Reply>& reply);
    std::size_t read_chunk_line(std::string_view bytes, std::optional<Reply>& reply);
    void take_chunk_line(std::string_view line, std::optional<Reply>& reply);
    Reply finish();
    Reply fail(Failure failure);

    const Expectation& expectation_;
    const bool head_only_;
    Part part_ = Part::head;
    std::string partial_;  // an incomplete head or chunk line; empty nearly always
    std::uint64_t left_ = 0;
    ContentCheck body_;
    int status_ = 0;
    bool chunked_ = false;
    bool has_length_ = false;
    bool closes_ = false;
    std::uint64_t generation_ = 0;
};

}  // namespace preforkd::bench
