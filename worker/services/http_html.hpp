#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/services/http_date.hpp"
#include "worker/services/http_status.hpp"

namespace preforkd::worker::http {

/// `text` for the inside of an element or of a quoted attribute: & < > " ' escaped, bytes that are
/// no well-formed UTF-8 replaced by U+FFFD, controls too. Source: HTML Standard, 13.1.1.
[[nodiscard]] std::string escape_html(std::string_view text);

/// The page of a status when the configuration names none. Nothing of the request is in it.
[[nodiscard]] std::string error_page(Status status);

/// One file or folder of a listing.
struct ListingEntry {
    std::string name;  ///< without slash
    bool is_folder = false;
    std::uint64_t size = 0;
    UnixTime modified = 0;
};

/// A page for the folder `path` (clean, relative to the root; empty: the root): folders first, each
/// kind by name. `is_cut` says that there is more in the folder than in `entries`.
[[nodiscard]] std::string listing_page(std::string_view path, std::vector<ListingEntry> entries,
                                       bool is_cut);

}  // namespace preforkd::worker::http
