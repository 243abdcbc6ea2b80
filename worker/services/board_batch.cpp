#include "worker/services/board_batch.hpp"

#include "worker/services/board_writer.hpp"

namespace preforkd::worker::board {

Batch::Batch(Transaction& transaction) noexcept
    : transaction_(transaction), first_new_(transaction.end()) {}

error_code Batch::take(WriteRequest& request) {
    if (request.replaces) {
        if (const auto error = take_replacement(request)) return error;
    } else {
        request.number = first_new_ + new_.size();
        new_.push_back(&request);
    }
    requests_.push_back(&request);
    return {};
}

error_code Batch::take_replacement(WriteRequest& request) {
    const std::uint64_t number = request.number = *request.replaces;
    if (number >= first_new_ && number - first_new_ < new_.size()) {
        new_[number - first_new_] = &request;
        return {};
    }
    if (const auto found = replacements_.find(number); found != replacements_.end()) {
        found->second = &request;
        return {};
    }
    if (const auto error = transaction_.judge_replacement(number)) return error;
    replacements_.emplace(number, &request);
    return {};
}

error_code Batch::put() {
    for (const auto& [number, request] : replacements_) {
        const auto stored = transaction_.replace(number, request->text);
        if (!stored) return stored.error();
    }
    for (const WriteRequest* const request : new_) {
        const auto stored = transaction_.append(request->text);
        if (!stored) return stored.error();
    }
    return {};
}

}  // namespace preforkd::worker::board
