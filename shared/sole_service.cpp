#include "shared/sole_service.hpp"

#include <algorithm>
#include <utility>

#include "shared/config_schema.hpp"
#include "shared/did_you_mean.hpp"

namespace preforkd {
namespace {

bool is_port(const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

/// Another word for one of our keys.
void translate(Entry& entry) {
    const auto replace = [&entry](const char* word, const char* meaning) {
        if (entry.value == word) entry.value = meaning;
    };
    if (entry.key == "BBFILE") entry.key = "file";
    if (entry.key == "BBPORT" || entry.key == "port") {
        entry.key = "address";
        if (is_port(entry.value)) entry.value.insert(0, "*:");
    }
    if (entry.key != "DAEMON" && entry.key != "daemon") return;
    entry.key = "daemon";
    for (const char* const word : {"1", "true", "on"}) replace(word, "yes");
    for (const char* const word : {"0", "false", "off"}) replace(word, "no");
}

/// Is it, or does it seem to be meant as, a key of the listener?
bool is_listeners(const std::string& key, const ServiceSpec& service) {
    if (find_key(global_keys(), key)) return false;
    if (find_key(listener_keys(), key) || find_key(service.keys, key)) return true;
    std::vector<std::string> names;
    for (const auto* const keys : {&listener_keys(), &service.keys, &global_keys()})
        for (const KeySpec& known : *keys) names.push_back(known.name);
    return !find_key(global_keys(), nearest_word(key, names));
}

bool is_listener(const Section& section) {
    return section.kind == Section::Kind::listener;
}

}  // namespace

const ServiceSpec* sole_service(std::string_view program,
                                const std::vector<ServiceSpec>& services) {
    const auto found = std::ranges::find_if(services, [program](const ServiceSpec& service) {
        return std::ranges::count(service.programs, program) > 0;
    });
    return found == services.end() ? nullptr : &*found;
}

void add_sole_listener(std::vector<Section>& sections, const ServiceSpec& service) {
    if (std::ranges::any_of(sections, is_listener)) return;
    const Origin origin = sections.front().origin;
    Section listener{Section::Kind::listener, service.name, origin, {}, true};
    listener.entries.push_back({"service", service.name, origin, true});
    sections.push_back(std::move(listener));
}

void move_to_sole_listener(std::vector<Section>& sections, const ServiceSpec& service) {
    Section& listener = *std::ranges::find_if(sections, is_listener);
    const bool takes_all = listener.is_implied;
    std::vector<Entry> stay;
    for (Entry& entry : sections.front().entries) {
        if (takes_all) translate(entry);
        const bool moves =
            (takes_all || entry.from_command_line) && is_listeners(entry.key, service);
        (moves ? listener.entries : stay).push_back(std::move(entry));
    }
    sections.front().entries = std::move(stay);
    if (takes_all && std::ranges::count(listener.entries, "address", &Entry::key) == 0)
        listener.entries.push_back({"address", service.sample_address, listener.origin, true});
}

}  // namespace preforkd
