#pragma once

#include <string>

#include "shared/result.hpp"

namespace preforkd::worker::board {

enum class StoreError {
    unknown_number = 1,  ///< no message has this number
    damaged,             ///< what lies there is not what was written
    read_only,           ///< the file, or its file system, can't be written
    sync_failed,         ///< the disk lost data that it had taken; nothing more is written
};
[[nodiscard]] error_code make_error_code(StoreError error) noexcept;

/// What LMDB returned: an errno if positive, else a number of its own.
/// Source: lmdb.h, "Return Codes".
[[nodiscard]] error_code lmdb_error(int code) noexcept;

/// When something goes wrong: while a board is opened, or later.
enum class Doing { opening, serving };

/// What went wrong and, where there is something, what an administrator can do about it.
[[nodiscard]] std::string with_advice(const error_code& error, Doing doing = Doing::serving);

/// Has LMDB given up this process's environment, so that only a new process can go on?
[[nodiscard]] bool is_fatal(const error_code& error) noexcept;

}  // namespace preforkd::worker::board

template <>
struct boost::system::is_error_code_enum<preforkd::worker::board::StoreError> : std::true_type {};
