#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "shared/result.hpp"
#include "worker/services/board_store.hpp"

namespace preforkd::worker::board {

struct WriteRequest;

/// What one transaction is to hold: of each message only the last text that was asked for, however
/// often it is replaced, since a transaction can store each message once. Nobody sees a difference:
/// what is committed together appears together, and all of it is acknowledged after that.
class Batch {
  public:
    /// `transaction` outlives it, and holds nothing yet.
    explicit Batch(Transaction& transaction) noexcept;

    /// Takes a request, which outlives the batch, and sets its number.
    /// Errors: unknown_number, damaged: it is not part of the batch, which goes on.
    [[nodiscard]] error_code take(WriteRequest& request);

    /// Puts all that was taken into the transaction. Errors: as Transaction::append().
    [[nodiscard]] error_code put();

    /// All requests that were taken, also those whose text another one's has replaced.
    [[nodiscard]] const std::vector<WriteRequest*>& requests() const noexcept { return requests_; }

  private:
    [[nodiscard]] error_code take_replacement(WriteRequest& request);

    Transaction& transaction_;
    const std::uint64_t first_new_;
    std::vector<WriteRequest*> requests_;
    std::vector<const WriteRequest*> new_;  // the last of each, from first_new_ on
    std::map<std::uint64_t, const WriteRequest*> replacements_;  // the last of each
};

}  // namespace preforkd::worker::board
