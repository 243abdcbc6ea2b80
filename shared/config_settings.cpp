#include "shared/config_settings.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "shared/config_schema.hpp"
#include "shared/did_you_mean.hpp"

namespace preforkd {
namespace {

/// The canonical text of one entry's value; on a fault, nothing.
std::optional<std::string> checked_value(const Section& section, const Entry& entry,
                                         const KeySpec& key, const Bases& bases, Faults& faults) {
    const auto refuse = [&](const std::string& text, const std::string& problem) {
        faults.push_back(entry_fault(section, entry, fmt::format("{} {}", in_quotes(text), problem),
                                     "a configuration file could not hold it"));
        return std::nullopt;
    };
    if (const std::string problem = unwritable(entry.value); !problem.empty())
        return refuse(entry.value, problem);
    CheckedText checked = key.check(entry.value, bases.of(entry));
    if (!checked.problem.empty()) {
        faults.push_back(entry_fault(section, entry, checked.problem));
        return std::nullopt;
    }
    // A relative path may have met a folder with a strange name.
    if (const std::string problem = unwritable(checked.text); !problem.empty())
        return refuse(checked.text, problem);
    return std::move(checked.text);
}

Fault missing_key(const Section& section, const KeySpec& key) {
    const bool in_file = section.origin.line > 0;
    const std::string& value = key.example.empty() ? key.expected : key.example;
    return {section.origin, in_file ? section.title() : std::string(),
            fmt::format("the key '{}' is missing", key.name),
            in_file ? fmt::format("add a line such as: {} = {}", key.name, value)
            : section.is_implied && key.name == "file"
                ? fmt::format("add to the command: -f {0}; or to the file: file = {0}", value)
            : section.is_implied
                ? fmt::format("add to the file: {0} = {1}; or to the command: -o {0}={1}", key.name,
                              value)
            : section.origin.file.starts_with("-o ")
                ? fmt::format("add: -o {}.{}={}", section.title(), key.name, value)
                : fmt::format("add to the command: {}={}", key.name, value)};
}

void set_default(Setting& setting, const KeySpec& key, const Section& section, const Bases& bases,
                 Faults& faults) {
    for (const std::string& text : key.default_texts) {
        const std::string value = key.check(text, bases.of_file).text;
        if (const std::string problem = unwritable(value); !problem.empty())
            faults.push_back({section.origin, section.title(),
                              fmt::format("{}: {} {}", key.name, in_quotes(value), problem),
                              "set the key to an absolute path"});
        setting.values.push_back(value);
    }
}

void add_value(Setting& setting, const KeySpec& key, const Entry& entry, std::string text) {
    if (!key.repeatable) setting.values.clear();
    // `key =` is an empty list, not a list of one empty text; its origin stays until a value comes,
    // and after one it says nothing.
    const bool is_empty = key.repeatable && text.empty();
    if (is_empty && !setting.values.empty()) return;
    if (setting.values.empty()) setting.origins.clear();
    setting.origins.push_back(entry.origin);
    if (!is_empty) setting.values.push_back(std::move(text));
}

Setting settle_key(const Section& section, const KeySpec& key, const Bases& bases, Faults& faults) {
    Setting setting{key.name, {}, {}};
    const Entry* first = nullptr;
    bool overridden = false;
    for (const Entry& entry : section.entries) {
        if (entry.key != key.name) continue;
        if (first && !key.repeatable && !entry.from_command_line) {
            faults.push_back(entry_fault(section, entry,
                                         fmt::format("already set on line {}", first->origin.line),
                                         "keep one of the two lines"));
            continue;
        }
        if (!first) first = &entry;
        if (entry.from_command_line && !overridden) {
            setting = {key.name, {}, {}};
            overridden = true;
        }
        auto text = checked_value(section, entry, key, bases, faults);
        if (text) add_value(setting, key, entry, std::move(*text));
    }
    if (first) return setting;
    if (!key.required) set_default(setting, key, section, bases, faults);
    if (key.required && section.kind != Section::Kind::repeated)
        faults.push_back(missing_key(section, key));
    return setting;
}

std::vector<std::string> names_of(const std::vector<KeySpec>& keys) {
    std::vector<std::string> names;
    for (const KeySpec& key : keys) names.push_back(key.name);
    return names;
}

/// The service that has such a key, or nullptr.
const ServiceSpec* owner_of(std::string_view key, const std::vector<ServiceSpec>& services) {
    const auto found = std::ranges::find_if(
        services, [key](const ServiceSpec& service) { return find_key(service.keys, key); });
    return found == services.end() ? nullptr : &*found;
}

Fault unknown_key(const Section& section, const Entry& entry, const std::string& suggestion,
                  std::string hint) {
    Fault fault = entry_fault(section, entry, {}, std::move(hint));
    fault.what = fmt::format("unknown key {}{}", in_quotes(entry.key), suggestion);
    return fault;
}

}  // namespace

std::vector<Setting> settle(const Section& section, const std::vector<KeySpec>& keys,
                            const Bases& bases, Faults& faults) {
    std::vector<Setting> settings;
    for (const KeySpec& key : keys) settings.push_back(settle_key(section, key, bases, faults));
    return settings;
}

Fault entry_fault(const Section& section, const Entry& entry, const std::string& what,
                  std::string hint) {
    // "-o listen.web.root" tells section and key by itself.
    const bool is_option = entry.origin.file.starts_with("-o ");
    return {entry.origin, entry.from_command_line ? std::string() : section.title(),
            is_option ? what : fmt::format("{}: {}", entry.key, what), std::move(hint)};
}

void report_unknown_global_keys(const Section& section, const std::vector<ServiceSpec>& services,
                                Faults& faults) {
    for (const Entry& entry : section.entries) {
        if (find_key(global_keys(), entry.key)) continue;
        if (find_key(listener_keys(), entry.key) || owner_of(entry.key, services))
            faults.push_back(unknown_key(
                section, entry, {},
                entry.from_command_line
                    ? fmt::format("it is a listener's: write -o listen.NAME.{}=VALUE", entry.key)
                    : "it is a listener's: move it below a [listen.NAME]"));
        else
            faults.push_back(
                unknown_key(section, entry, did_you_mean(entry.key, names_of(global_keys())), {}));
    }
}

void report_unknown_listener_keys(const Section& section, const ServiceSpec& service,
                                  const std::vector<ServiceSpec>& services, Faults& faults) {
    std::vector<std::string> known = names_of(listener_keys());
    for (const std::string& name : names_of(service.keys)) known.push_back(name);
    for (const Entry& entry : section.entries) {
        if (std::ranges::count(known, entry.key) > 0) continue;
        std::string suggestion, hint;
        if (find_key(global_keys(), entry.key))
            hint = entry.from_command_line
                       ? fmt::format("it is for the whole server: write -o {}=VALUE", entry.key)
                       : "it is for the whole server: move it above the first [listen.NAME]";
        else if (const ServiceSpec* owner = owner_of(entry.key, services))
            hint = fmt::format("it is a key of the service '{}', and this is '{}'", owner->name,
                               service.name);
        else
            suggestion = did_you_mean(entry.key, known);
        faults.push_back(unknown_key(section, entry, suggestion, std::move(hint)));
    }
}

}  // namespace preforkd
