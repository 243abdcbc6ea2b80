#pragma once

#include "bench/load/reply.hpp"

namespace preforkd::bench {

/// Reads the bulletin board's replies: lines that begin with a code `D.D` and a blank. The greeting
/// `0.0` is the first reply of each connection. LIST and LAST are answered by lines up to `2.3`.
class BoardReplyReader final : public ReplyReader {
  public:
    /// `command`: what is sent, whose first word decides which code is right.
    explicit BoardReplyReader(std::string_view command);

    std::size_t read(std::string_view bytes, std::uint64_t number,
                     std::optional<Reply>& reply) override;
    [[nodiscard]] bool inside_reply() const override { return in_list_ || !partial_.empty(); }
    void restart() override;
    [[nodiscard]] bool is_farewell(std::string_view bytes) const override {
        return bytes.starts_with("4.0 ");
    }

  private:
    void take_line(std::string_view line, std::uint64_t number, std::optional<Reply>& reply);

    std::string right_code_;
    bool names_number_;  // the reply to READ {n} repeats the number
    bool is_list_;
    bool greeted_ = false;
    bool in_list_ = false;
    std::string partial_;
};

}  // namespace preforkd::bench
