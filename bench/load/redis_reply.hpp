#pragma once

#include "bench/load/reply.hpp"

namespace preforkd::bench {

/// Reads replies of the Redis serialization protocol, version 2. An error reply is a bad status, a
/// nil one wrong content. Source: redis.io, "RESP protocol spec".
class RedisReplyReader final : public ReplyReader {
  public:
    explicit RedisReplyReader(const Expectation& expectation) : body_(expectation) {}

    std::size_t read(std::string_view bytes, std::uint64_t number,
                     std::optional<Reply>& reply) override;
    [[nodiscard]] bool inside_reply() const override {
        return in_bulk_ || elements_left_ > 0 || !partial_.empty();
    }
    void restart() override;
    [[nodiscard]] ContentCheck* body() override { return &body_; }

  private:
    void take_line(std::string_view line, std::optional<Reply>& reply);
    std::size_t read_bulk(std::string_view bytes, std::optional<Reply>& reply);
    void finish_element(std::optional<Reply>& reply);

    ContentCheck body_;
    std::string partial_;
    bool in_bulk_ = false;
    std::uint64_t bulk_left_ = 0;      // with its CRLF
    std::uint64_t elements_left_ = 0;  // of an array
    std::optional<Failure> failure_;
};

}  // namespace preforkd::bench
