#include "worker/landlock.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "shared/unique_fd.hpp"

namespace preforkd::worker {
namespace {

// As Linux 6.12 has them; the headers of the system that we are built on may be older.
// Source: <linux/landlock.h>, Documentation/userspace-api/landlock.rst.
struct RulesetAttributes {
    std::uint64_t handled_files = 0;
    std::uint64_t handled_ports = 0;
    std::uint64_t scoped = 0;
};
struct [[gnu::packed]] FolderRule {
    std::uint64_t allowed = 0;
    std::int32_t folder = -1;
};
constexpr int folder_rule_type = 1;  // LANDLOCK_RULE_PATH_BENEATH

constexpr std::uint64_t read_file = 1u << 2, read_folder = 1u << 3;
constexpr std::uint64_t bind_tcp = 1u << 0, connect_tcp = 1u << 1;
constexpr std::uint64_t abstract_sockets = 1u << 0, signals = 1u << 1;

/// Every right that this version of Landlock can withhold: it refuses those it doesn't know.
std::uint64_t all_file_rights(std::uint32_t version) noexcept {
    unsigned rights = 13;           // execute, read, write, make, remove
    if (version >= 2) rights = 14;  // move to another folder
    if (version >= 3) rights = 15;  // truncate
    if (version >= 5) rights = 16;  // ioctl on devices
    return (std::uint64_t{1} << rights) - 1;
}

std::size_t size_of_attributes(std::uint32_t version) noexcept {
    constexpr std::size_t field = sizeof(std::uint64_t);
    if (version >= 6) return 3 * field;
    return version >= 4 ? 2 * field : field;
}

RulesetAttributes attributes_for(const LandlockRules& rules, std::uint32_t version) noexcept {
    RulesetAttributes attributes;
    attributes.handled_files = all_file_rights(version);
    if (version >= 4) attributes.handled_ports = rules.connects ? bind_tcp : bind_tcp | connect_tcp;
    if (version >= 6) attributes.scoped = abstract_sockets | signals;
    return attributes;
}

error_code allow_reading(const UniqueFd& ruleset, int folder) noexcept {
    FolderRule rule;
    rule.allowed = read_file | read_folder;
    rule.folder = folder;
    if (::syscall(SYS_landlock_add_rule, ruleset.get(), folder_rule_type, &rule, 0) < 0)
        return last_error();
    return {};
}

}  // namespace

error_code restrict_by_landlock(const LandlockRules& rules, std::uint32_t version) noexcept {
    if (version == 0) return {};
    const RulesetAttributes attributes = attributes_for(rules, version);
    const UniqueFd ruleset(static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, &attributes, size_of_attributes(version), 0)));
    if (!ruleset.is_open()) return last_error();
    for (const int folder : rules.readable_folders)
        if (const error_code error = allow_reading(ruleset, folder)) return error;
    if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) < 0) return last_error();
    return {};
}

}  // namespace preforkd::worker
