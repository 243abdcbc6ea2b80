#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "worker/services/http_status.hpp"

namespace preforkd::worker::http {

/// A path that may be opened, or why not.
struct CleanPath {
    Status status = Status::ok;    ///< ok, 400 (no file has such a name), 404 (hidden), 414
    std::string_view path;         ///< relative, single slashes, none at its ends; empty: the root
    bool ends_with_slash = false;  ///< so it can only name a folder
};

/// Bytes that clean_path() renders into: PATH_MAX, with the NUL that it ends with.
inline constexpr std::size_t path_capacity = 4096;

/// Makes the file path of a URI's `path` (from its slash, without query) in `buffer`. Percent
/// signs are decoded exactly once. Refused are names that no client means or that are read two
/// ways: broken escapes, encoded slashes, NUL and controls, UTF-8 that isn't well-formed (so
/// overlong forms), "." and "..". Names with a dot in front are 404 unless `serve_dotfiles`, but
/// for "/.well-known/" (RFC 8615). Repeated slashes count as one.
[[nodiscard]] CleanPath clean_path(std::string_view path, bool serve_dotfiles,
                                   std::span<char, path_capacity> buffer) noexcept;

/// Whether `text` is well-formed UTF-8. Source: Unicode 15, table 3-7.
[[nodiscard]] bool is_valid_utf8(std::string_view text) noexcept;

/// One name as a URI segment: everything but letters, digits and -._~ escaped. RFC 3986 §2.3.
[[nodiscard]] std::string encode_segment(std::string_view name);

/// The Location that adds the slash to a folder's `clean` path, relative to the request
/// ("./name/"), so that nothing in the request can lead to another host. `query` is kept; what
/// a URI may not hold is escaped in it.
[[nodiscard]] std::string folder_location(std::string_view clean, std::string_view query);

}  // namespace preforkd::worker::http
