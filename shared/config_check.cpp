#include "shared/config_check.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "shared/config_text.hpp"

namespace preforkd {
namespace {

/// "user: what", without the key where the origin names it.
Fault key_fault(const Config& config, const std::string& key, const std::string& what,
                std::string hint) {
    const Origin origin = config.origins.of(key);
    const bool named = origin.file.starts_with("-o ");
    return {origin, {}, named ? what : fmt::format("{}: {}", key, what), std::move(hint)};
}

void check_accounts(const Config& config, const Surroundings& surroundings, Faults& faults) {
    if (const std::string& name = config.user.value; !name.empty()) {
        const auto uid = surroundings.find_user(name);
        if (!uid)
            faults.push_back(key_fault(config, "user",
                                       fmt::format("there is no user {}", in_quotes(name)),
                                       "create it (adduser --system), or name another"));
        else if (*uid == 0)
            faults.push_back(key_fault(
                config, "user", fmt::format("{} is root, and no worker may be", in_quotes(name)),
                "name a user of its own, such as preforkd"));
    }
    if (const std::string& name = config.group.value; !name.empty()) {
        const auto gid = surroundings.find_group(name);
        if (!gid)
            faults.push_back(key_fault(config, "group",
                                       fmt::format("there is no group {}", in_quotes(name)),
                                       "create it (addgroup --system), or name another"));
        else if (*gid == 0)
            faults.push_back(
                key_fault(config, "group",
                          fmt::format("{} is root's, and no worker may be in it", in_quotes(name)),
                          "name a group of its own, such as preforkd"));
    }
}

/// Remembers who listens where, and finds whom a newcomer would collide with.
class AddressBook {
  public:
    struct Taken {
        const Address* address;
        const ListenSection* listener;
        Origin origin;
    };

    /// The holder of the same address, or of one that overlaps: the wildcard and any other of its
    /// family and port. IPv4 and IPv6 never overlap, for IPv6 sockets are V6ONLY. nullptr: nobody.
    const Taken* add(const Taken& newcomer) {
        const Address& address = *newcomer.address;
        if (!address.is_unix() && address.port() == 0) return nullptr;
        const auto [same, is_new] = by_text_.emplace(address.text, newcomer);
        if (!is_new) return &same->second;
        if (address.is_unix()) return nullptr;
        const auto port = std::pair(address.family(), address.port());
        const auto wildcard = wildcards_.find(port);
        if (wildcard != wildcards_.end()) return &wildcard->second;
        const auto [first, alone] = by_port_.emplace(port, newcomer);
        if (address.is_wildcard()) wildcards_.emplace(port, newcomer);
        return address.is_wildcard() && !alone ? &first->second : nullptr;
    }

  private:
    std::map<std::string, Taken> by_text_;
    std::map<std::pair<int, std::uint16_t>, Taken> by_port_;
    std::map<std::pair<int, std::uint16_t>, Taken> wildcards_;
};

std::string place_of(const AddressBook::Taken& taken) {
    return taken.origin.line > 0
               ? fmt::format("[listen.{}], line {}", taken.listener->name, taken.origin.line)
               : fmt::format("[listen.{}], {}", taken.listener->name, taken.origin.file);
}

void check_addresses(const Config& config, Faults& faults) {
    AddressBook book;
    for (const ListenSection& listener : config.listeners) {
        for (std::size_t i = 0; i < listener.addresses.size(); ++i) {
            const Address& address = listener.addresses[i];
            const Origin& origin = listener.origins.of_address[i];
            const AddressBook::Taken* taken = book.add({&address, &listener, origin});
            if (!taken) continue;
            const bool same = *taken->address == address;
            faults.push_back(
                {origin, origin.line > 0 ? "listen." + listener.name : std::string(),
                 same ? fmt::format("address {} is taken by {}", address.text, place_of(*taken))
                      : fmt::format("address {} overlaps {} of {}", address.text,
                                    taken->address->text, place_of(*taken)),
                 taken->listener == &listener
                     ? "one of the two is enough: take the other out"
                     : "give each listener a port or an address of its own"});
        }
    }
}

void check_names(const Config& config, Faults& faults) {
    for (const ListenSection& listener : config.listeners)
        if (listener.name == "main" && listener.workers)
            faults.push_back({listener.origins.of("workers"), "listen.main",
                              "workers: 'main' is the name of the shared workers' pool",
                              "name the listener otherwise, or let the shared workers serve it"});
}

/// The key of a service with a data file that says when the disk is waited for. It is the file's
/// rather than the listener's: who doesn't wait can lose what another has acknowledged.
constexpr std::string_view durability = "sync";

/// Another name, by a link or through one, may be the same file.
bool are_same_file(const std::filesystem::path& left, const std::filesystem::path& right) {
    std::error_code unknown;
    if (std::filesystem::equivalent(left, right, unknown) && !unknown) return true;
    const auto real = [&unknown](const std::filesystem::path& path) {
        const auto known = std::filesystem::weakly_canonical(path, unknown);
        return unknown ? path.lexically_normal() : known;
    };
    return real(left) == real(right);
}

/// The data file of a listener, where its service has such a key; nullptr: none.
const Setting* data_file_of(const ListenSection& listener, const ServiceSpec& service) {
    for (const KeySpec& key : service.keys) {
        if (key.opens != Opens::data_file && key.opens != Opens::data_with_lock) continue;
        const Setting* const setting = listener.find(key.name);
        if (setting != nullptr && !setting->values.empty()) return setting;
    }
    return nullptr;
}

/// Where the value was given, or else where the section's data file was.
Origin origin_of(const Setting& setting, const Setting& file) {
    const auto& origins = setting.origins.empty() ? file.origins : setting.origins;
    return origins.empty() ? Origin() : origins.front();
}

std::string value_of(const Setting& setting) {
    return fmt::format("{} = {}", setting.key, fmt::join(setting.values, " "));
}

void check_sharers(const ListenSection& first, const ListenSection& second,
                   const ServiceSpec& service, Faults& faults) {
    const Setting* const file = data_file_of(first, service);
    const Setting* const same = data_file_of(second, service);
    if (!file || !same || !are_same_file(file->values.front(), same->values.front())) return;
    const Setting* const one = first.find(durability);
    const Setting* const other = second.find(durability);
    if (!one || !other || *one == *other) return;
    const Origin origin = origin_of(*other, *same);
    const Origin where = origin_of(*one, *file);
    faults.push_back(
        {origin, origin.line > 0 ? "listen." + second.name : std::string(),
         fmt::format("{}, but {} has {} for the same file, {}", value_of(*other),
                     place_of({nullptr, &first, where}), value_of(*one), file->values.front()),
         "give both the same value, or each a file of its own"});
}

void check_data_files(const Config& config, const std::vector<ServiceSpec>& services,
                      Faults& faults) {
    for (const ServiceSpec& service : services) {
        for (auto second = config.listeners.begin(); second != config.listeners.end(); ++second)
            for (auto first = config.listeners.begin(); first != second; ++first)
                if (first->service == service.name && second->service == service.name)
                    check_sharers(*first, *second, service, faults);
    }
}

}  // namespace

void check_config(const Config& config, const Surroundings& surroundings,
                  const std::vector<ServiceSpec>& services, Faults& faults) {
    check_accounts(config, surroundings, faults);
    check_addresses(config, faults);
    check_names(config, faults);
    check_data_files(config, services, faults);
}

}  // namespace preforkd
