#include "shared/config.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace preforkd {
namespace {

template <class Range>
auto* find_by(Range& range, std::string_view name, auto member) {
    const auto found = std::ranges::find(range, name, member);
    return found == range.end() ? nullptr : &*found;
}

}  // namespace

std::string place_of(const Origin& origin) {
    if (origin.line > 0) return fmt::format("on line {}", origin.line);
    return (origin.file.starts_with("-o ") ? "by " : "on the ") + origin.file;
}

Origin Origins::of(std::string_view key) const {
    const auto found = of_key.find(key);
    return found == of_key.end() ? Origin{} : found->second;
}

const Setting* ListenSection::find(std::string_view key) const {
    return find_by(settings, key, &Setting::key);
}

const ListenSection* Config::find_listener(std::string_view wanted) const {
    return find_by(listeners, wanted, &ListenSection::name);
}

std::string summary(const Config& config) {
    std::size_t addresses = 0;
    for (const ListenSection& listener : config.listeners) addresses += listener.addresses.size();
    const auto counted = [](std::size_t count, std::string_view one, std::string_view many) {
        return fmt::format("{} {}", count, count == 1 ? one : many);
    };
    return fmt::format("{}, {}", counted(config.listeners.size(), "listener", "listeners"),
                       counted(addresses, "address", "addresses"));
}

LogTarget error_log_of(const Config& config, bool foreground, uid_t effective_uid) {
    using Kind = LogTarget::Kind;
    if (config.error_log.kind != Kind::automatic) return config.error_log;
    if (foreground) return {Kind::standard_error, {}};
    const std::filesystem::path folder = effective_uid == 0
                                             ? std::filesystem::path("/var/log") / config.program
                                             : config.runtime_dir;
    return {Kind::file, folder / "error.log"};
}

LogTarget output_log_of(const Config& config, bool foreground, uid_t effective_uid) {
    if (config.output_log.kind != LogTarget::Kind::automatic) return config.output_log;
    LogTarget target = error_log_of(config, foreground, effective_uid);
    if (target.kind == LogTarget::Kind::syslog) target.kind = LogTarget::Kind::off;
    return target;
}

std::string to_string(const Fault& fault) {
    std::string text = fault.origin.file;
    if (fault.origin.line > 0) text += fmt::format(":{}", fault.origin.line);
    if (!text.empty()) text += ": ";
    if (!fault.section.empty()) text += fault.section + ": ";
    text += fault.what;
    if (!fault.hint.empty()) text += "\n    " + fault.hint;
    return text;
}

std::string to_string(const Faults& faults) {
    std::string text;
    for (const Fault& fault : faults) text += to_string(fault) + "\n";
    return text;
}

}  // namespace preforkd
