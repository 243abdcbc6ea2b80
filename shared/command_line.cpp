#include "shared/command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/program_options/cmdline.hpp>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <boost/program_options/variables_map.hpp>

#include "shared/config_build.hpp"
#include "shared/config_text.hpp"
#include "shared/did_you_mean.hpp"

namespace preforkd {
namespace {

namespace program_options = boost::program_options;
using Action = CommandLine::Action;
using Words = std::vector<std::string>;

struct OptionRow {
    char letter;
    const char* name;
    const char* argument;  ///< "" if it takes none
    bool repeatable;
    const char* doc;
    bool only_alone = false;  ///< of programs that serve one service alone
};

constexpr std::array<OptionRow, 10> option_rows{{
    {'c', "config", "FILE", false, "read this configuration file"},
    {'f', "file", "FILE", false, "the service's file; the same as -o file=FILE", true},
    {'d', "daemon", "", false, "go to the background; the same as -o daemon=yes", true},
    {'F', "foreground", "", false, "stay in the foreground"},
    {'t', "test", "", false, "check the configuration, print every fault, and exit"},
    {'T', "print", "", false, "the same, and print what it amounts to, as a valid file"},
    {'q', "quiet", "", false, "print nothing but faults"},
    {'o', "option", "KEY=VALUE", true,
     "set a key: workers=2, listen.web.root=.; wins over the file"},
    {'V', "version", "", false, "print the version, and exit"},
    {'h', "help", "", false, "print this, and exit"},
}};
constexpr const char* operands = "operand";

program_options::options_description described_options(bool alone) {
    program_options::options_description description;
    auto add = description.add_options();
    for (const OptionRow& row : option_rows) {
        if (row.only_alone && !alone) continue;
        const std::string names = fmt::format("{},{}", row.name, row.letter);
        if (row.repeatable)
            add(names.c_str(), program_options::value<Words>());
        else if (*row.argument)
            add(names.c_str(), program_options::value<std::string>());
        else
            add(names.c_str(), program_options::bool_switch());
    }
    add(operands, program_options::value<Words>());
    return description;
}

program_options::variables_map stored_options(std::span<const std::string> arguments, bool alone) {
    namespace style = program_options::command_line_style;
    const program_options::options_description description = described_options(alone);
    program_options::positional_options_description positions;
    positions.add(operands, -1);
    program_options::variables_map map;
    program_options::store(
        program_options::command_line_parser(Words(arguments.begin(), arguments.end()))
            .options(description)
            .positional(positions)
            .style(style::unix_style & ~style::allow_guessing)
            .run(),
        map);
    return map;
}

Words words_of(const program_options::variables_map& map, const char* name) {
    return map.count(name) > 0 ? map[name].as<Words>() : Words{};
}

Fault usage_fault(std::string what, std::string hint = "-h lists the options") {
    return {{}, {}, std::move(what), std::move(hint)};
}

Fault unknown_option(const std::string& name, bool alone) {
    Words known;
    for (const OptionRow& row : option_rows)
        if (alone || !row.only_alone) known.push_back(fmt::format("--{}", row.name));
    return usage_fault(
        fmt::format("unknown option {}{}", in_quotes(name), did_you_mean(name, known)));
}

/// Splits KEY=VALUE at its first '='. A fault if there is no KEY or no '='.
boost::system::result<Assignment, Fault> assignment(const std::string& text,
                                                    const std::string& where) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
        return usage_fault(fmt::format("{}{} is not KEY=VALUE", where, in_quotes(text)));
    return Assignment{text.substr(0, equals), text.substr(equals + 1)};
}

/// Reads `texts` into `list`; gives the first fault.
std::optional<Fault> add_assignments(std::span<const std::string> texts, const std::string& where,
                                     std::vector<Assignment>& list) {
    for (const std::string& text : texts) {
        auto parsed = assignment(text, where);
        if (!parsed) return parsed.error();
        list.push_back(std::move(*parsed));
    }
    return std::nullopt;
}

Fault unknown_service(const std::string& name, const std::vector<ServiceSpec>& services) {
    Words names;
    for (const ServiceSpec& service : services) names.push_back(service.name);
    if (name.find_first_of("./") != std::string::npos)
        return usage_fault(fmt::format("{} is not a service", in_quotes(name)),
                           fmt::format("for a configuration file write: -c {}", name));
    return usage_fault(
        fmt::format("unknown service {}{}", in_quotes(name), did_you_mean(name, names)),
        fmt::format("this program has {}", fmt::join(names, ", ")));
}

/// SERVICE ADDRESS [KEY=VALUE]...
std::optional<Fault> take_operands(const Words& words, const std::vector<ServiceSpec>& services,
                                   CommandLine& command_line) {
    if (words.empty()) return std::nullopt;
    if (!find_service(services, words[0])) return unknown_service(words[0], services);
    if (!command_line.file.empty())
        return usage_fault("-c FILE and SERVICE ADDRESS exclude each other",
                           "leave out one of them");
    const std::string example = fmt::format("write it as in: {} :8080", words[0]);
    if (words.size() < 2)
        return usage_fault(fmt::format("there is no address for '{}' to listen on", words[0]),
                           example);
    if (words[1].find('=') != std::string::npos)
        return usage_fault(fmt::format("{} is not an address", in_quotes(words[1])), example);
    command_line.service = words[0];
    command_line.address = words[1];
    command_line.foreground = true;
    return add_assignments(std::span(words).subspan(2), "", command_line.settings);
}

/// -f and -d, as the keys that they set.
std::optional<Fault> take_options_alone(const program_options::variables_map& map,
                                        CommandLine& command_line) {
    if (map.count(operands) > 0)
        return usage_fault(
            fmt::format("unexpected {}", in_quotes(words_of(map, operands).front())));
    if (map.count("file") > 0) {
        const auto file = map["file"].as<std::string>();
        if (file.empty()) return usage_fault("-f wants the name of a file", "write: -f FILE");
        command_line.overrides.push_back({"file", file});
    }
    if (!map["daemon"].as<bool>()) return std::nullopt;
    if (command_line.foreground)
        return usage_fault("-d and -F exclude each other", "leave out one of them");
    command_line.overrides.push_back({"daemon", "yes"});
    return std::nullopt;
}

Action action_of(const program_options::variables_map& map) {
    if (map["help"].as<bool>()) return Action::show_help;
    if (map["version"].as<bool>()) return Action::show_version;
    if (map["print"].as<bool>()) return Action::check_and_render;
    return map["test"].as<bool>() ? Action::check : Action::serve;
}

}  // namespace

boost::system::result<CommandLine, Fault> parse_command_line(
    std::span<const std::string> arguments, const std::vector<ServiceSpec>& services, bool alone) {
    try {
        const program_options::variables_map map = stored_options(arguments, alone);
        CommandLine command_line;
        command_line.action = action_of(map);
        command_line.foreground = map["foreground"].as<bool>();
        command_line.quiet = map["quiet"].as<bool>();
        if (map.count("config") > 0) {
            command_line.file = map["config"].as<std::string>();
            if (command_line.file.empty()) return usage_fault("-c wants the name of a file");
        }
        if (auto fault = add_assignments(words_of(map, "option"), "-o: ", command_line.overrides))
            return *fault;
        if (auto fault = alone ? take_options_alone(map, command_line)
                               : take_operands(words_of(map, operands), services, command_line))
            return *fault;
        return command_line;
    } catch (const program_options::unknown_option& error) {
        return unknown_option(error.get_option_name(), alone);
    } catch (const program_options::error& error) {
        return usage_fault(error.what());
    }
}

std::string options_text(bool alone) {
    std::string text;
    for (const OptionRow& row : option_rows) {
        if (row.only_alone && !alone) continue;
        text += fmt::format(
            "  -{}, {:<22} {}\n", row.letter,
            fmt::format("--{}{}{}", row.name, *row.argument ? " " : "", row.argument),
            alone && row.repeatable ? "set a key: workers=2, log_level=debug; wins over the file"
                                    : row.doc);
    }
    return text;
}

}  // namespace preforkd
