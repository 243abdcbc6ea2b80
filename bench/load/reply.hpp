#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bench/load/failure.hpp"

namespace preforkd::bench {

/// What a right answer looks like. Shared by all threads, unchanged while they run.
struct Expectation {
    int status = 200;                     ///< HTTP only
    std::optional<std::uint64_t> length;  ///< of the body; unset = any
    std::optional<std::string> content;   ///< the body, byte by byte; unset = any
    std::string generation_header;        ///< HTTP only, lower case; empty = none
};

/// How an answer ended.
struct Reply {
    std::optional<Failure> failure;  ///< unset: a right answer
    bool closes = false;             ///< the server said that it will close the connection
    std::uint64_t generation = 0;    ///< what the generation header said; 0 = nothing
};

/// Compares a body that arrives in parts with the expected one.
class ContentCheck {
  public:
    explicit ContentCheck(const Expectation& expectation) : expectation_(expectation) {}

    void add(std::string_view part) {
        if (expectation_.content && right_)
            right_ = std::string_view(*expectation_.content)
                         .substr(std::min(seen_, expectation_.content->size()))
                         .starts_with(part);
        if (copy_ != nullptr) *copy_ += part;
        seen_ += part.size();
    }

    /// Whether all that was added is right and complete; begins anew.
    bool finish() noexcept {
        const bool right = right_ && seen_ == expectation_.length.value_or(seen_) &&
                           (!expectation_.content || seen_ == expectation_.content->size());
        restart();
        return right;
    }

    void restart() noexcept {
        seen_ = 0;
        right_ = true;
    }

    /// Also appends every body to `out` from now on.
    void copy_to(std::string& out) noexcept { copy_ = &out; }

  private:
    const Expectation& expectation_;
    std::size_t seen_ = 0;
    bool right_ = true;
    std::string* copy_ = nullptr;
};

/// Reads one connection's answers out of its bytes, however they are split.
class ReplyReader {
  public:
    virtual ~ReplyReader() = default;

    /// Takes bytes of the current answer and returns how many belonged to it; once the answer is
    /// whole, fills `reply` and is ready for the next. `number` is what the request's {n} was.
    virtual std::size_t read(std::string_view bytes, std::uint64_t number,
                             std::optional<Reply>& reply) = 0;

    /// The stream has ended: the answer that this completes, if it was one that ends so.
    virtual std::optional<Reply> at_end_of_stream() { return std::nullopt; }

    /// Whether part of an answer has been read.
    [[nodiscard]] virtual bool inside_reply() const = 0;

    /// Whether the current answer has no other end than the stream's.
    [[nodiscard]] virtual bool ends_with_stream() const { return false; }

    /// Forgets a half-read answer: the connection is gone and a new one begins.
    virtual void restart() = 0;

    /// Where bodies are checked; null for a protocol whose replies have none.
    [[nodiscard]] virtual ContentCheck* body() { return nullptr; }

    /// Whether unasked-for bytes are the protocol's way of closing an idle connection.
    [[nodiscard]] virtual bool is_farewell(std::string_view) const { return false; }
};

}  // namespace preforkd::bench
