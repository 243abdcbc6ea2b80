#include "shared/config_diff.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "shared/config_build.hpp"
#include "shared/config_schema.hpp"

namespace preforkd {
namespace {

using Texts = std::vector<std::string>;

std::string shown(const Texts& texts) {
    return texts.empty() || texts == Texts{""} ? "unset"
                                               : fmt::format("'{}'", fmt::join(texts, ", "));
}

/// A fault where the candidate says `now`, or at its file where it says nothing.
Fault refusal(const Config& candidate, Origin origin, const std::string& section,
              const std::string& key, const Texts& before, const Texts& now) {
    if (origin.file.empty()) origin.file = candidate.source_file.string();
    return {
        std::move(origin), section,
        fmt::format("{}: a reload cannot change it from {} to {}", key, shown(before), shown(now)),
        fmt::format("restart {} for this, or put the old value back", candidate.program)};
}

void refuse_settings(const Config& candidate, const ListenSection& before, const ListenSection& now,
                     const ServiceSpec& service, Faults& faults) {
    for (const Setting& setting : now.settings) {
        const KeySpec* key = find_key(service.keys, setting.key);
        const Setting* old = before.find(setting.key);
        if (!key || key->reload == Reload::on_hup || !old || *old == setting) continue;
        const Origin origin = setting.origins.empty() ? Origin{} : setting.origins.front();
        faults.push_back(refusal(candidate, origin, "listen." + now.name, setting.key, old->values,
                                 setting.values));
    }
}

/// Those of `these` that `others` lack.
std::vector<Address> lacking(const Config& these, const Config& others) {
    std::vector<Address> result;
    for (const ListenSection& listener : these.listeners)
        for (const Address& address : listener.addresses) {
            const bool has =
                std::ranges::any_of(others.listeners, [&address](const ListenSection& other) {
                    return std::ranges::count(other.addresses, address) > 0;
                });
            if (!has) result.push_back(address);
        }
    return result;
}

}  // namespace

Faults refused_changes(const Config& running, const Config& candidate,
                       const std::vector<ServiceSpec>& services) {
    Faults faults;
    for (const KeySpec& key : global_keys()) {
        if (key.reload == Reload::on_hup) continue;
        const Texts before = key.render(&running), now = key.render(&candidate);
        if (before != now)
            faults.push_back(
                refusal(candidate, candidate.origins.of(key.name), {}, key.name, before, now));
    }
    for (const ListenSection& now : candidate.listeners) {
        const ListenSection* before = running.find_listener(now.name);
        const ServiceSpec* service = find_service(services, now.service);
        if (before && service && before->service == now.service)
            refuse_settings(candidate, *before, now, *service, faults);
    }
    return faults;
}

ListenerChanges listener_changes(const Config& running, const Config& candidate) {
    ListenerChanges changes;
    for (const ListenSection& now : candidate.listeners) {
        const ListenSection* before = running.find_listener(now.name);
        if (!before)
            changes.added.push_back(now.name);
        else if (*before != now)
            changes.changed.push_back(now.name);
    }
    for (const ListenSection& before : running.listeners)
        if (!candidate.find_listener(before.name)) changes.removed.push_back(before.name);
    changes.new_addresses = lacking(candidate, running);
    changes.gone_addresses = lacking(running, candidate);
    return changes;
}

}  // namespace preforkd
