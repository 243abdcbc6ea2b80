#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/config.hpp"
#include "shared/key.hpp"

// Every key of the configuration file that is not a service's own, declared once.

namespace preforkd {

/// A log's destination: one of `kinds`, where Kind::file stands for any path.
template <>
struct Key<LogTarget> {
    std::string name{};
    Field<LogTarget> field{};
    LogTarget def{};
    std::vector<LogTarget::Kind> kinds{};
    bool required = false;
    Reload reload = Reload::on_hup;
    std::string example{};
    std::string default_note{};
    std::string doc{};
};
[[nodiscard]] std::string type_name(const Key<LogTarget>& key);
[[nodiscard]] std::string expected_text(const Key<LogTarget>& key);
[[nodiscard]] std::string parse_for(const Key<LogTarget>& key, std::string_view text,
                                    const std::filesystem::path& base, LogTarget& value);
[[nodiscard]] std::string render_for(const Key<LogTarget>& key, const LogTarget& value);

/// A listener's own keys as the file has them; `address` is not yet looked up.
struct ListenerOptions {
    std::vector<std::string> address;
    std::string service;
    std::optional<unsigned> workers;
    unsigned backlog = 0;
};

/// The keys above the first section, bound to Config.
[[nodiscard]] const std::vector<KeySpec>& global_keys();

/// The keys that every [listen.NAME] section has beside its service's, bound to ListenerOptions.
[[nodiscard]] const std::vector<KeySpec>& listener_keys();

/// The same for a program with these services: it knows what `service` can be.
[[nodiscard]] std::vector<KeySpec> listener_keys_for(const std::vector<ServiceSpec>& services);

/// The key of that name, or nullptr.
[[nodiscard]] const KeySpec* find_key(const std::vector<KeySpec>& keys, std::string_view name);

/// What is wrong with the declarations themselves: names that are taken or malformed, defaults out
/// of range, keys of two structs in one service. A service's author sees it at the first start.
[[nodiscard]] Faults declaration_faults(const std::vector<ServiceSpec>& services);

}  // namespace preforkd
