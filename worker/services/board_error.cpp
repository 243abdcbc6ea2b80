#include "worker/services/board_error.hpp"

#include <lmdb.h>

#include <cerrno>

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
    std::string message(int code) const override {
        switch (code) {
            case MDB_MAP_FULL:
                return "the board is as large as it can become (MDB_MAP_FULL)";
            case MDB_CORRUPTED:
            case MDB_PAGE_NOTFOUND:
                return "the file is damaged (MDB_CORRUPTED)";
            case MDB_INVALID:
                return "the file is no bulletin board (MDB_INVALID)";
            case MDB_VERSION_MISMATCH:
                return "the file is of another version of LMDB (MDB_VERSION_MISMATCH)";
            case MDB_PANIC:
                return "the store has failed, and only a new worker can go on (MDB_PANIC)";
            case MDB_READERS_FULL:
                return "too many processes read the board (MDB_READERS_FULL)";
            default:
                return ::mdb_strerror(code);
        }
    }
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

std::string with_advice(const error_code& error, Doing doing) {
    const auto is = [&](auto... codes) { return ((error == lmdb_error(codes)) || ...); };
    const char* advice = "";
    if (is(MDB_MAP_FULL))
        advice = "; raise the limit on the server's address space (ulimit -v, LimitAS=) and reload";
    else if (is(MDB_CORRUPTED, MDB_PAGE_NOTFOUND))
        advice =
            "; restore it from a backup, or stop the server, 'preforkctl board export' what can be "
            "read, and import that into a new file";
    else if (is(MDB_INVALID))
        advice = "; name another file, or restore it from a backup";
    else if (is(MDB_VERSION_MISMATCH))
        advice = "; export it by the program that made it, and import that into a new file";
    else if (is(ENOSPC, EDQUOT))
        advice = doing == Doing::opening
                     ? "; make room on its disk, and try again"
                     : "; make room on its disk: messages are taken again as soon as there is some";
    else if (is(EROFS))
        advice = "; under systemd, name its folder in ReadWritePaths= (systemctl edit)";
    else if (is(EIO))
        advice = "; look into the kernel's log for what the disk says, and save the board";
    return error.message() + advice;
}

bool is_fatal(const error_code& error) noexcept {
    return error == lmdb_error(MDB_PANIC);
}

}  // namespace preforkd::worker::board
