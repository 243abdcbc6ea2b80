#include "master/credentials.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <memory>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"

namespace preforkd::master {
namespace {

bool have_capability(cap_value_t capability) {
    const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> ours(::cap_get_proc(),
                                                                             ::cap_free);
    cap_flag_value_t value = CAP_CLEAR;
    return ours && ::cap_get_flag(ours.get(), capability, CAP_EFFECTIVE, &value) == 0 &&
           value == CAP_SET;
}

/// Says where in the file the key stands.
[[noreturn]] void refuse(const Config& config, std::string_view key, std::string what,
                         std::string hint, int exit_code = exit_configuration) {
    throw StartupError(
        exit_code, to_string(Fault{config.origins.of(key), {}, std::move(what), std::move(hint)}));
}

gid_t group_id(const Config& config) {
    const std::string& name = config.group.value;
    const group* const found = ::getgrnam(name.c_str());
    if (found == nullptr)
        refuse(config, "group", fmt::format("group '{}' doesn't exist", name),
               fmt::format("make it (groupadd --system {}), or name another one", name));
    return found->gr_gid;
}

std::vector<gid_t> supplementary_groups(const std::string& user, gid_t group) {
    std::vector<gid_t> groups(64);
    int count = static_cast<int>(groups.size());
    if (::getgrouplist(user.c_str(), group, groups.data(), &count) < 0) {
        groups.resize(static_cast<std::size_t>(count));
        ::getgrouplist(user.c_str(), group, groups.data(), &count);
    }
    groups.resize(static_cast<std::size_t>(count));
    return groups;
}

Credentials look_up(const passwd& user, const Config& config) {
    Credentials credentials;
    credentials.user_name = user.pw_name;
    credentials.user = user.pw_uid;
    credentials.group = config.group.value.empty() ? user.pw_gid : group_id(config);
    credentials.groups = supplementary_groups(credentials.user_name, credentials.group);
    return credentials;
}

const passwd& unprivileged_user(const Config& config, std::vector<std::string>& notices) {
    if (!config.user.value.empty()) {
        if (const passwd* const named = ::getpwnam(config.user.value.c_str())) return *named;
        refuse(
            config, "user", fmt::format("user '{}' doesn't exist", config.user.value),
            fmt::format("make it (useradd --system {}), or name another one", config.user.value));
    }
    for (const char* const name : {"preforkd", "nobody"}) {
        const passwd* const found = ::getpwnam(name);
        if (found == nullptr) continue;
        notices.push_back(fmt::format("no user is configured; workers run as '{}'", name));
        return *found;
    }
    throw StartupError(exit_configuration,
                       "neither 'preforkd' nor 'nobody' exists to run the workers as\n"
                       "    make a user without rights and name it: user = NAME");
}

void refuse_root(const Config& config, const Credentials& credentials) {
    const bool root_group = std::find(credentials.groups.begin(), credentials.groups.end(), 0u) !=
                            credentials.groups.end();
    if (credentials.user == 0 || credentials.group == 0 || root_group)
        refuse(config, config.group.value.empty() ? "user" : "group",
               fmt::format("user '{}' is root or in root's group; workers never are",
                           credentials.user_name),
               "name a user without rights: user = NAME");
}

WorkerIdentity identity_without_root(const Config& config) {
    const passwd* const ours = ::getpwuid(::geteuid());
    const std::string name = ours != nullptr ? ours->pw_name : fmt::to_string(::geteuid());
    if (!config.user.value.empty() && config.user.value != name)
        refuse(config, "user",
               fmt::format("only root can run the workers as '{}'; this is '{}'", config.user.value,
                           name),
               "start it as root, or remove 'user'", exit_no_privilege);
    return {
        std::nullopt,
        {fmt::format("not started as root: the workers run as '{}', as the master does", name)}};
}

}  // namespace

WorkerIdentity resolve_identity(const Config& config) {
    if (::geteuid() != 0) return identity_without_root(config);
    WorkerIdentity identity;
    identity.credentials = look_up(unprivileged_user(config, identity.notices), config);
    refuse_root(config, *identity.credentials);
    for (const cap_value_t capability : {CAP_SETUID, CAP_SETGID})
        if (!have_capability(capability))
            throw StartupError(exit_no_privilege,
                               "root without CAP_SETUID and CAP_SETGID can't change to the "
                               "workers' user\n    grant both, or start as that user");
    if (!have_capability(CAP_SETPCAP))
        identity.notices.emplace_back(
            "no CAP_SETPCAP: the workers' capability bounding set stays as it is");
    return identity;
}

void require_executable_by(const Credentials& credentials, const UniqueFd& image) {
    struct stat status {};
    if (::fstat(image.get(), &status) < 0)
        throw StartupError(exit_failure,
                           "can't look at our own program: " + last_error().message());
    const auto in_group = [&] {
        return std::find(credentials.groups.begin(), credentials.groups.end(), status.st_gid) !=
               credentials.groups.end();
    };
    const mode_t needed = status.st_uid == credentials.user ? S_IXUSR
                          : in_group()                      ? S_IXGRP
                                                            : S_IXOTH;
    if ((status.st_mode & needed) == 0)
        throw StartupError(exit_configuration,
                           fmt::format("user '{}' may not execute this program\n"
                                       "    workers start by executing it: chmod a+x it",
                                       credentials.user_name));
}

}  // namespace preforkd::master
