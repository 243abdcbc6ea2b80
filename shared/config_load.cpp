#include "shared/config_load.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "shared/config_build.hpp"
#include "shared/config_check.hpp"
#include "shared/config_file.hpp"
#include "shared/config_schema.hpp"
#include "shared/config_text.hpp"
#include "shared/did_you_mean.hpp"
#include "shared/exit_code.hpp"
#include "shared/result.hpp"
#include "shared/sole_service.hpp"

namespace preforkd {
namespace {

using std::filesystem::path;

/// PROGRAM names folders and files, so it must be fit for that.
bool is_program_name(std::string_view name) {
    constexpr std::string_view allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return !name.empty() && name.size() <= 64 && !name.starts_with('.') &&
           name.find_first_not_of(allowed) == std::string_view::npos;
}

/// The sections that `SERVICE ADDRESS KEY=VALUE...` stands for: the service's keys and a listener's
/// go into its section, the server's above it.
std::vector<Section> sections_of(const CommandLine& command_line,
                                 const std::vector<ServiceSpec>& services) {
    const Origin origin{"command line", 0};
    Section global{Section::Kind::global, {}, origin, {}};
    Section listener{Section::Kind::listener, command_line.service, origin, {}};
    listener.entries.push_back({"service", command_line.service, origin, true});
    listener.entries.push_back({"address", command_line.address, origin, true});
    const ServiceSpec* service = find_service(services, command_line.service);
    for (const Assignment& setting : command_line.settings) {
        const bool is_global = !(service && find_key(service->keys, setting.key)) &&
                               find_key(global_keys(), setting.key);
        Section& section = is_global ? global : listener;
        section.entries.push_back({setting.key, setting.value, origin, true});
    }
    return {std::move(global), std::move(listener)};
}

Section* find_section(std::vector<Section>& sections, std::string_view name) {
    const auto found = std::ranges::find_if(sections, [name](const Section& section) {
        return section.kind == Section::Kind::listener && section.name == name;
    });
    return found == sections.end() ? nullptr : &*found;
}

/// The section that `-o listen.NAME.KEY` speaks of. One that the file lacks is made, but only when
/// another -o gives its service: then it can't be a slip.
Section* overridden_section(std::vector<Section>& sections, const std::string& title,
                            const Origin& origin, const CommandLine& command_line, Faults& faults) {
    constexpr std::string_view prefix = "listen.";
    const std::string name(title.substr(std::min(prefix.size(), title.size())));
    if (!title.starts_with(prefix) || !is_listener_name(name)) {
        faults.push_back({origin,
                          {},
                          fmt::format("{} is not a listener", in_quotes(title)),
                          "write -o KEY=VALUE or -o listen.NAME.KEY=VALUE"});
        return nullptr;
    }
    if (Section* section = find_section(sections, name)) return section;
    if (!std::ranges::count(command_line.overrides, title + ".service", &Assignment::key)) {
        std::vector<std::string> names;
        for (const Section& section : sections) names.push_back(section.name);
        faults.push_back(
            {origin,
             {},
             fmt::format("there is no listener {}{}", in_quotes(name), did_you_mean(name, names)),
             fmt::format("to add one, give its service too: -o {}.service=NAME", title)});
        return nullptr;
    }
    sections.push_back({Section::Kind::listener, name, origin, {}});
    return &sections.back();
}

void apply_overrides(std::vector<Section>& sections, const CommandLine& command_line,
                     Faults& faults) {
    for (const Assignment& setting : command_line.overrides) {
        const Origin origin{"-o " + setting.key, 0};
        const std::size_t dot = setting.key.rfind('.');
        Section* section = dot == std::string::npos
                               ? &sections.front()
                               : overridden_section(sections, setting.key.substr(0, dot), origin,
                                                    command_line, faults);
        if (!section) continue;
        section->entries.push_back({setting.key.substr(dot == std::string::npos ? 0 : dot + 1),
                                    setting.value, origin, true});
    }
}

path default_runtime_dir(const LoadRequest& request) {
    if (request.effective_uid == 0) return path("/run") / request.program;
    const auto folder = request.surroundings.environment("XDG_RUNTIME_DIR");
    if (folder && path(*folder).is_absolute() && unwritable(*folder).empty())
        return absolute_path(request.program, *folder);
    return fmt::format("/tmp/{}-{}", request.program, request.effective_uid);
}

void decide_paths(Config& config, const LoadRequest& request) {
    if (config.runtime_dir.empty()) config.runtime_dir = default_runtime_dir(request);
    if (!request.command_line.service.empty())
        config.lock_file.clear();
    else if (config.lock_file.empty())
        config.lock_file = config.runtime_dir / (request.program + ".pid");
}

/// In the file's order; what is wrong with the file as a whole, and with the command line, last.
void sort_by_line(Faults& faults, const path& file) {
    std::ranges::stable_sort(faults, {}, [&file](const Fault& fault) {
        const bool on_a_line = fault.origin.file == file && fault.origin.line > 0;
        return on_a_line ? fault.origin.line : std::numeric_limits<unsigned>::max();
    });
}

constexpr std::string_view effective_title = ": effective configuration of ";
constexpr std::string_view no_file = "the command line";

}  // namespace

Surroundings system_surroundings() {
    return {
        .environment = [](const std::string& name) -> std::optional<std::string> {
            const char* const value = std::getenv(name.c_str());
            if (!value) return std::nullopt;
            return value;
        },
        .find_user = [](const std::string& name) -> std::optional<uid_t> {
            const passwd* const user = ::getpwnam(name.c_str());
            if (!user) return std::nullopt;
            return user->pw_uid;
        },
        .find_group = [](const std::string& name) -> std::optional<gid_t> {
            const group* const found = ::getgrnam(name.c_str());
            if (!found) return std::nullopt;
            return found->gr_gid;
        },
        .resolve = resolve_by_system,
    };
}

void throw_exception_from_error(const Faults& faults, const boost::source_location&) {
    std::string text = to_string(faults);
    if (text.ends_with('\n')) text.pop_back();
    throw StartupError(exit_configuration, text);
}

path config_file_of(const LoadRequest& request) {
    const CommandLine& command_line = request.command_line;
    if (!command_line.service.empty()) return {};
    if (!command_line.file.empty()) return absolute_path(command_line.file, request.working_folder);
    path usual = fmt::format("/etc/preforkd/{}.conf", request.program);
    std::error_code unknown;
    const bool may_do_without = sole_service(request.program, request.services) != nullptr;
    if (may_do_without && !std::filesystem::exists(usual, unknown) && !unknown) return {};
    return usual;
}

LoadResult load_config(const LoadRequest& request) {
    Faults faults = declaration_faults(request.services);
    if (!is_program_name(request.program))
        faults.push_back({{},
                          {},
                          fmt::format("{} can't be this program's name: it would have to "
                                      "name folders too",
                                      in_quotes(request.program)),
                          "start it by a name of letters, digits, '.', '_' and '-'"});
    const path file = config_file_of(request);
    if (!unwritable(file.native()).empty())
        faults.push_back(
            {{},
             {},
             fmt::format("-c: {} {}", in_quotes(file.native()), unwritable(file.native())),
             "use another name"});
    if (!faults.empty()) return faults;

    std::vector<Section> sections;
    const ServiceSpec* const sole = sole_service(request.program, request.services);
    if (file.empty() && sole) {
        sections = {{Section::Kind::global, {}, {"command line", 0}, {}}};
    } else if (file.empty()) {
        sections = sections_of(request.command_line, request.services);
    } else {
        const std::string text = read_config_file(file, request.effective_uid, faults);
        if (!faults.empty()) return faults;
        sections = split_sections(text, file.string(), faults);
    }
    if (sole) add_sole_listener(sections, *sole);
    apply_overrides(sections, request.command_line, faults);
    if (sole) move_to_sole_listener(sections, *sole);
    if (sections.size() == 1)
        faults.push_back({{file.string(), 0},
                          {},
                          "there is nothing to listen on",
                          "add a section: [listen.NAME] with the keys address and service"});
    Config config =
        build_config(sections, request.services, {file.parent_path(), request.working_folder},
                     request.surroundings.resolve, faults);
    config.program = request.program;
    config.source_file = file;
    decide_paths(config, request);
    check_config(config, request.surroundings, request.services, faults);
    sort_by_line(faults, file);
    if (!faults.empty()) return faults;
    return config;
}

std::string render_effective(const Config& config, const std::vector<ServiceSpec>& services) {
    const std::string source =
        config.standalone() ? std::string(no_file) : config.source_file.string();
    return fmt::format("# {}{}{}\n{}", config.program, effective_title, source,
                       render_keys(config, services));
}

LoadResult parse_effective(std::string_view text, const std::vector<ServiceSpec>& services) {
    Faults faults;
    const std::string_view first_line = text.substr(0, text.find('\n'));
    const std::size_t title = first_line.find(effective_title);
    if (!first_line.starts_with("# ") || title == std::string_view::npos)
        return Faults{{{"effective configuration", 1}, {}, "its first line is missing", {}}};
    const std::string_view source = first_line.substr(title + effective_title.size());
    const std::vector<Section> sections = split_sections(text, "effective configuration", faults);
    const Resolver only_numbers = [](const std::string& host, std::uint16_t) -> ParsedAddress {
        return {{}, fmt::format("'{}' is not an address in numbers", host), {}};
    };
    Config config = build_config(sections, services, {"/", "/"}, only_numbers, faults);
    config.program = first_line.substr(2, title - 2);
    if (source != no_file) config.source_file = source;
    if (!faults.empty()) return faults;
    return config;
}

}  // namespace preforkd
