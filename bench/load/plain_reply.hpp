#pragma once

#include <algorithm>

#include "bench/load/reply.hpp"

namespace preforkd::bench {

/// Reads replies of a known length (`echo`, and `raw` with --reply-bytes).
class FixedReplyReader final : public ReplyReader {
  public:
    /// Requires: `length` >= 1.
    FixedReplyReader(const Expectation& expectation, std::uint64_t length)
        : length_(length), left_(length), body_(expectation) {}

    std::size_t read(std::string_view bytes, std::uint64_t, std::optional<Reply>& reply) override {
        const auto taken = std::size_t(std::min<std::uint64_t>(left_, bytes.size()));
        body_.add(bytes.substr(0, taken));
        left_ -= taken;
        if (left_ > 0) return taken;
        left_ = length_;
        Reply result;
        if (!body_.finish()) result.failure = Failure::wrong_content;
        reply = result;
        return taken;
    }
    [[nodiscard]] bool inside_reply() const override { return left_ != length_; }
    [[nodiscard]] ContentCheck* body() override { return &body_; }
    void restart() override {
        left_ = length_;
        body_.restart();
    }

  private:
    const std::uint64_t length_;
    std::uint64_t left_;
    ContentCheck body_;
};

/// Reads replies that end with a line feed (`raw`).
class LineReplyReader final : public ReplyReader {
  public:
    explicit LineReplyReader(const Expectation& expectation) : body_(expectation) {}

    std::size_t read(std::string_view bytes, std::uint64_t, std::optional<Reply>& reply) override {
        const std::size_t end = bytes.find('\n');
        const std::size_t taken = end == bytes.npos ? bytes.size() : end + 1;
        body_.add(bytes.substr(0, taken));
        inside_ = end == bytes.npos;
        if (inside_) return taken;
        Reply result;
        if (!body_.finish()) result.failure = Failure::wrong_content;
        reply = result;
        return taken;
    }
    [[nodiscard]] bool inside_reply() const override { return inside_; }
    [[nodiscard]] ContentCheck* body() override { return &body_; }
    void restart() override {
        inside_ = false;
        body_.restart();
    }

  private:
    bool inside_ = false;
    ContentCheck body_;
};

}  // namespace preforkd::bench
