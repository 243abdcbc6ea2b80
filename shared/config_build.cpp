#include "shared/config_build.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "shared/config_schema.hpp"
#include "shared/did_you_mean.hpp"

namespace preforkd {
namespace {

/// Puts settings into the struct that `keys` are bound to.
void store_all(const std::vector<KeySpec>& keys, const std::vector<Setting>& settings,
               void* options, Origins& origins) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
        keys[i].store(settings[i].values, options);
        if (!settings[i].origins.empty())
            origins.of_key[keys[i].name] = settings[i].origins.front();
    }
}

Fault unknown_service(const Section& section, const ListenSection& listener,
                      const std::vector<ServiceSpec>& services) {
    std::vector<std::string> names;
    for (const ServiceSpec& service : services) names.push_back(service.name);
    const Origin origin = listener.origins.of("service");
    return {origin, origin.line > 0 ? section.title() : std::string(),
            fmt::format("unknown service {}{}", in_quotes(listener.service),
                        did_you_mean(listener.service, names)),
            fmt::format("this program has {}", fmt::join(names, ", "))};
}

void add_addresses(ListenSection& listener, const Section& section, const Setting& texts,
                   const Bases& bases, const Resolver& resolve, Faults& faults) {
    for (std::size_t i = 0; i < texts.values.size(); ++i) {
        const Entry entry{"address", texts.values[i], texts.origins[i], texts.origins[i].line == 0};
        ParsedAddress parsed = parse_address(entry.value, bases.of(entry), resolve);
        if (!parsed.problem.empty())
            faults.push_back(entry_fault(section, entry, parsed.problem, parsed.hint));
        for (Address& address : parsed.addresses) {
            listener.addresses.push_back(std::move(address));
            listener.origins.of_address.push_back(entry.origin);
        }
    }
}

void report_contradictions(const Section& section, const std::vector<Setting>& settings,
                           const ServiceSpec& service, Faults& faults) {
    if (!service.check) return;
    for (SettingProblem& problem : service.check(settings)) {
        const bool is_line = problem.origin.line > 0;
        faults.push_back({std::move(problem.origin), is_line ? section.title() : std::string(),
                          std::move(problem.what), std::move(problem.hint)});
    }
}

ListenSection build_listener(const Section& section, const std::vector<KeySpec>& keys,
                             const std::vector<ServiceSpec>& services, const Bases& bases,
                             const Resolver& resolve, Faults& faults) {
    ListenSection listener;
    ListenerOptions options;
    const std::vector<Setting> settings = settle(section, keys, bases, faults);
    store_all(keys, settings, &options, listener.origins);
    listener.name = section.name;
    listener.service = options.service;
    listener.workers = options.workers;
    listener.backlog = options.backlog;
    const auto addresses = std::ranges::find(settings, "address", &Setting::key);
    add_addresses(listener, section, *addresses, bases, resolve, faults);
    if (const ServiceSpec* service = find_service(services, listener.service)) {
        listener.settings = settle(section, service->keys, bases, faults);
        report_contradictions(section, listener.settings, *service, faults);
        report_unknown_listener_keys(section, *service, services, faults);
    } else if (!listener.service.empty()) {
        faults.push_back(unknown_service(section, listener, services));
    }
    return listener;
}

void add_line(std::string& text, const std::string& key, const std::string& value) {
    text += fmt::format("{:<15} ={}{}\n", key, value.empty() ? "" : " ", value);
}

void render_values(std::string& text, const KeySpec& key, const std::vector<std::string>& values) {
    if (values.empty()) add_line(text, key.name, "");
    for (const std::string& value : values) add_line(text, key.name, value);
}

void render_listener(std::string& text, const ListenSection& listener, const ServiceSpec& service) {
    ListenerOptions options{{}, listener.service, listener.workers, listener.backlog};
    for (const Address& address : listener.addresses) options.address.push_back(address.text);
    text += fmt::format("\n[listen.{}]\n", listener.name);
    for (const KeySpec& key : listener_keys()) render_values(text, key, key.render(&options));
    for (const KeySpec& key : service.keys)
        if (const Setting* setting = listener.find(key.name))
            render_values(text, key, setting->values);
}

}  // namespace

Config build_config(const std::vector<Section>& sections, const std::vector<ServiceSpec>& services,
                    const Bases& bases, const Resolver& resolve, Faults& faults) {
    Config config;
    const std::vector<KeySpec> keys = listener_keys_for(services);
    for (const Section& section : sections) {
        switch (section.kind) {
            case Section::Kind::unknown:
                break;
            case Section::Kind::global:
                store_all(global_keys(), settle(section, global_keys(), bases, faults), &config,
                          config.origins);
                report_unknown_global_keys(section, services, faults);
                break;
            case Section::Kind::listener:
                config.listeners.push_back(
                    build_listener(section, keys, services, bases, resolve, faults));
                break;
            case Section::Kind::repeated:
                // Only for its faults.
                (void)build_listener(section, keys, services, bases, resolve, faults);
        }
    }
    return config;
}

std::string render_keys(const Config& config, const std::vector<ServiceSpec>& services) {
    std::string text;
    for (const KeySpec& key : global_keys()) render_values(text, key, key.render(&config));
    for (const ListenSection& listener : config.listeners)
        if (const ServiceSpec* service = find_service(services, listener.service))
            render_listener(text, listener, *service);
    return text;
}

const ServiceSpec* find_service(const std::vector<ServiceSpec>& services, std::string_view name) {
    const auto found = std::ranges::find(services, name, &ServiceSpec::name);
    return found == services.end() ? nullptr : &*found;
}

}  // namespace preforkd
