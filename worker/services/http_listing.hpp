#pragma once

#include <string_view>
#include <vector>

#include "shared/result.hpp"
#include "worker/services/http_files.hpp"
#include "worker/services/http_html.hpp"

namespace preforkd::worker::http {

struct FolderContent {
    std::vector<ListingEntry> entries;
    bool is_cut = false;  ///< there is more than may be listed
};

/// The most entries that one listing shows, to bound its memory and the time it blocks.
inline constexpr std::size_t most_listed = 10000;

/// What `folder` (opened, at the clean `path` below `root`) holds that a client could get: files
/// and folders, those behind symlinks too if `rules` follow them; dot files if `rules` serve them;
/// no names that clean_path() refuses. Errors: those of getdents64(2).
[[nodiscard]] Result<FolderContent> read_folder(const UniqueFd& root, UniqueFd folder,
                                                std::string_view path, const FileRules& rules);

}  // namespace preforkd::worker::http
