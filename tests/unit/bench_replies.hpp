#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/reply.hpp"

// Shared by the suites that test readers of replies.

namespace preforkd::bench {

/// All replies in `stream`, given to `reader` in two parts that meet at `split`.
inline std::vector<Reply> replies_in(ReplyReader& reader, std::string_view stream,
                                     std::size_t split, std::uint64_t number = 0) {
    std::vector<Reply> replies;
    for (std::string_view part : {stream.substr(0, split), stream.substr(split)}) {
        while (!part.empty()) {
            std::optional<Reply> reply;
            part.remove_prefix(reader.read(part, number, reply));
            if (!reply) break;
            replies.push_back(*reply);
        }
    }
    return replies;
}

/// How a reply ended, in a word: "ok", "ok, closes", or the failure's name.
inline std::string word_for(const Reply& reply) {
    if (reply.failure) return std::string(failure_names[std::size_t(*reply.failure)]);
    return reply.closes ? "ok, closes" : "ok";
}

}  // namespace preforkd::bench
