#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/key.hpp"
#include "shared/service_spec.hpp"
#include "shared/types.hpp"
#include "worker/services/http_status.hpp"

namespace preforkd::worker::http {

/// A name of a file in a folder: no slash, not "." or "..".
struct FileName {
    std::string value;
};
[[nodiscard]] std::string parse_value(std::string_view text, FileName& value);
[[nodiscard]] std::string render_value(const FileName& value);

/// A field for every response: "Name: value". None that frames or describes a response, for those
/// are the server's.
struct AddedField {
    std::string line;  ///< without CRLF
};
[[nodiscard]] std::string parse_value(std::string_view text, AddedField& value);
[[nodiscard]] std::string render_value(const AddedField& value);

/// "404 FILE": the content of error responses of one status.
struct ErrorPage {
    Status status = Status::not_found;
    std::filesystem::path file;  ///< absolute
};
[[nodiscard]] std::string render_value(const ErrorPage& value);

/// A relative file starts from `base`, as in a Key of a path.
[[nodiscard]] std::string parse_for(const Key<std::vector<ErrorPage>>& key, std::string_view text,
                                    const std::filesystem::path& base, ErrorPage& value);

[[nodiscard]] std::filesystem::path file_of(const Key<std::vector<ErrorPage>>& key,
                                            const ErrorPage& value);

[[nodiscard]] std::string expected_text(const Key<std::vector<FileName>>& key);
[[nodiscard]] std::string expected_text(const Key<std::vector<AddedField>>& key);
[[nodiscard]] std::string expected_text(const Key<std::vector<ErrorPage>>& key);

enum class Symlinks { inside, deny };

inline constexpr std::string_view default_mime_types = "/etc/mime.types";

/// What a `[listen.NAME]` section of this service says.
struct Options {
    std::filesystem::path root;
    std::vector<FileName> index;
    seconds header_timeout{10};
    seconds body_timeout{10};
    seconds send_timeout{30};
    seconds idle_timeout{75};
    unsigned max_connections = 0;
    ByteCount max_head{16 * 1024};
    ByteCount max_body{1 << 20};
    std::optional<seconds> cache;
    Symlinks symlinks = Symlinks::inside;
    bool dotfiles = false;
    bool listing = false;
    bool precompressed = true;
    std::vector<ErrorPage> error_page;
    std::vector<AddedField> add_header;
    std::filesystem::path mime_types = default_mime_types;
};

[[nodiscard]] std::vector<KeySpec> option_keys();

/// Two pages for one status; Cache-Control by two keys.
[[nodiscard]] std::vector<SettingProblem> contradictions(const std::vector<Setting>& settings);

}  // namespace preforkd::worker::http
