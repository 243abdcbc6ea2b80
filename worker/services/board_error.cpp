#include "worker/services/board_error.hpp"

#include <lmdb.h>

namespace preforkd::worker::board {
namespace {

// Boost's own base has a public destructor that isn't virtual; nobody destroys a category.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

class StoreCategory final : public boost::system::error_category {
  public:
    const char* name() const noexcept override { return "board"; }
    std::string message(int code) const override {
        switch (static_cast<StoreError>(code)) {
            case StoreError::unknown_number:
                return "no message has this number";
            case StoreError::damaged:
                return "what is stored there is damaged";
            case StoreError::read_only:
                return "the board can only be read";
            case StoreError::sync_failed:
                return "the disk failed; nothing more is written until the board is restarted";
        }
        return "board error " + std::to_string(code);
    }
};

class LmdbCategory final : public boost::system::error_category {
  public:
    const char* name() const noexcept override { return "lmdb"; }
    std::string message(int code) const override { return ::mdb_strerror(code); }
};

#pragma GCC diagnostic pop

}  // namespace

error_code make_error_code(StoreError error) noexcept {
    static const StoreCategory category;
    return {static_cast<int>(error), category};
}

error_code lmdb_error(int code) noexcept {
    static const LmdbCategory category;
    if (code >= 0) return {code, boost::system::system_category()};
    return {code, category};
}

bool is_fatal(const error_code& error) noexcept {
    return error == lmdb_error(MDB_PANIC);
}

}  // namespace preforkd::worker::board
