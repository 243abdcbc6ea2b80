#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

#include "master/credentials.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// The program that runs, open. Throws StartupError.
[[nodiscard]] UniqueFd open_own_image();

/// Where an upgrade will look for the program that was started as `name` (argv[0]) in `folder` with
/// the PATH `search_path`: the name made absolute, links and all, if it leads to the program that
/// runs; else where the kernel says that one lies. To be called at start, for "(deleted)" may stand
/// there later. Source: proc(5), /proc/pid/exe.
[[nodiscard]] std::string image_path_of(const std::string& name, const std::string& folder,
                                        std::string_view search_path);

/// A program that may be executed in our place, and what it was like when it was opened.
struct Image {
    UniqueFd file;
    struct stat status {};

    /// Whether the file is still what it was.
    [[nodiscard]] bool is_unchanged() const noexcept;
};

/// Opens the program at `path`. Throws StartupError unless it is an ELF file that the workers'
/// user may execute and that, when we are root, nobody but root can change or replace.
[[nodiscard]] Image open_image(const std::string& path,
                               const std::optional<Credentials>& credentials);

}  // namespace preforkd::master
