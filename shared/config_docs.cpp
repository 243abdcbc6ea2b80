#include "shared/config_docs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "shared/command_line.hpp"
#include "shared/config_schema.hpp"
#include "shared/sole_service.hpp"

namespace preforkd {
namespace {

constexpr std::size_t line_width = 78;
using Keys = std::vector<KeySpec>;
using Services = std::vector<ServiceSpec>;

// ---- --help ----

std::string help_of_key(const KeySpec& key) {
    std::string facts = expectation(key);
    facts += key.required ? " Required." : fmt::format(" Default: {}.", default_in_words(key));
    if (key.repeatable) facts += " May stand several times.";
    if (key.reload == Reload::restart) facts += " A reload can't change it.";
    const std::string indent(20, ' ');
    std::string text = wrapped(key.doc, line_width, indent) + wrapped(facts, line_width, indent);
    return text.replace(0, indent.size(), fmt::format("  {:<17} ", key.name));
}

std::string help_of_keys(std::string_view title, const Keys& keys) {
    std::string text = fmt::format("\n{}:\n", title);
    for (const KeySpec& key : keys) text += help_of_key(key);
    return text;
}

/// --help of a program that serves `service` alone.
std::string help_of_sole(std::string_view program, const ServiceSpec& service) {
    std::string text = fmt::format(
        "Usage:\n"
        "  {0} [-c FILE] [-f FILE] [-d|-F] [-t|-T] [-q] [-o KEY=VALUE]...\n"
        "\n{1}\nOptions:\n{2}",
        program, wrapped(service.doc, line_width, ""), options_text(true));
    Keys keys = service.keys;
    for (KeySpec key : listener_keys()) {
        if (key.name == "service" || key.name == "workers") continue;
        if (key.name == "address") {
            key.required = false;
            key.default_texts = {service.sample_address};
        }
        keys.push_back(std::move(key));
    }
    text += help_of_keys("Keys of the file, which needs no section", keys);
    text += help_of_keys("More keys, of the server", global_keys());
    return text;
}

// ---- The sample file ----

/// What a key's line shows: its example, or its default.
std::vector<std::string> sample_values(const KeySpec& key) {
    if (!key.example.empty()) return {key.example};
    return key.default_texts.empty() ? std::vector<std::string>{""} : key.default_texts;
}

std::string sample_of_key(const KeySpec& key, std::string_view value, bool is_live) {
    return fmt::format("{}{:<15} ={}{}\n", is_live ? "" : "#", key.name, value.empty() ? "" : " ",
                       value);
}

std::string sample_of_documented_key(const KeySpec& key) {
    std::string facts = expectation(key);
    if (!key.default_note.empty()) facts += fmt::format(" Default: {}.", key.default_note);
    std::string text = wrapped(key.doc + " " + facts, line_width, "# ");
    for (const std::string& value : sample_values(key)) text += sample_of_key(key, value, false);
    return text + "\n";
}

std::string sample_of_listener(const ServiceSpec& service, const Services& services, bool is_live) {
    std::string text = wrapped(service.doc, line_width, "# ");
    text += fmt::format("{}[listen.{}]\n", is_live ? "" : "#", service.name);
    for (KeySpec& key : listener_keys_for(services)) {
        if (key.name == "address" && !service.sample_address.empty())
            key.example = service.sample_address;
        if (key.name == "service") key.example = service.name;
        if (key.required) text += sample_of_key(key, sample_values(key).front(), is_live);
    }
    for (const KeySpec& key : service.keys)
        for (const std::string& value : sample_values(key))
            text += sample_of_key(key, value, is_live && key.required);
    return text + "\n";
}

// ---- Markdown ----

std::string in_cell(std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
        text.replace(at, 1, "\\|");
    return text;
}

std::string markdown_table(const Keys& keys) {
    std::string text = "| Key | Meaning | Expected | Default | Reload |\n|---|---|---|---|---|\n";
    for (const KeySpec& key : keys)
        text += fmt::format("| `{}` | {} | {} | {} | {} |\n", key.name, in_cell(key.doc),
                            in_cell(key.expected),
                            key.required ? "required" : in_cell(default_in_words(key)),
                            key.reload == Reload::on_hup ? "yes" : "restart");
    return text;
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t width, std::string_view indent) {
    std::string result;
    std::size_t column = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        const std::string_view word = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (word.empty()) continue;
        const bool fits = column > 0 && column + 1 + word.size() <= width;
        if (!fits) {
            if (column > 0) result += '\n';
            result += indent;
            column = indent.size();
        } else {
            result += ' ';
            ++column;
        }
        result += word;
        column += word.size();
    }
    return result.empty() ? result : result + '\n';
}

std::string expectation(const KeySpec& key) {
    const bool plain = key.type == "path" || key.expected == "text";
    return plain ? "" : fmt::format("Expected: {}.", key.expected);
}

std::string default_in_words(const KeySpec& key) {
    if (!key.default_note.empty()) return key.default_note;
    const std::string text = fmt::format("{}", fmt::join(key.default_texts, ", "));
    return text.empty() ? "none" : text;
}

std::string help_text(std::string_view program, const Services& services) {
    if (const ServiceSpec* const sole = sole_service(program, services))
        return help_of_sole(program, *sole);
    std::string text = fmt::format(
        "Usage:\n"
        "  {0} [-c FILE] [-F] [-t|-T] [-q] [-o KEY=VALUE]...\n"
        "  {0} SERVICE ADDRESS [KEY=VALUE]...     without a file, in the foreground\n"
        "\nOptions:\n{1}\nServices:\n",
        program, options_text());
    for (const ServiceSpec& service : services) {
        const std::string indent(20, ' ');
        text += wrapped(service.doc.empty() ? "..." : service.doc, line_width, indent)
                    .replace(0, indent.size(), fmt::format("  {:<17} ", service.name));
    }
    text += help_of_keys("Keys of the server, above the first section", global_keys());
    text +=
        help_of_keys("Keys of a listener, below its [listen.NAME]", listener_keys_for(services));
    for (const ServiceSpec& service : services)
        if (!service.keys.empty())
            text += help_of_keys(fmt::format("More keys with service = {}", service.name),
                                 service.keys);
    return text;
}

std::string sample_file(std::string_view program, const Services& services) {
    std::string text = fmt::format(
        "# Configuration of {0}. To check it: {0} -t    All about it: {0}.conf(5)\n"
        "# Lines of the form #key = value show a default, or an example of a value.\n\n",
        program);
    for (const KeySpec& key : global_keys()) text += sample_of_documented_key(key);
    text += "# A listener. These keys may stand in any of them:\n#\n";
    for (const KeySpec& key : listener_keys_for(services))
        text += wrapped(fmt::format("{}: {} {}", key.name, key.doc, expectation(key)), line_width,
                        "# ");
    text += "\n";
    for (const ServiceSpec& service : services)
        text += sample_of_listener(service, services, &service == &services.front());
    text.pop_back();  // the empty line after the last
    return text;
}

std::string reference_markdown(const Services& services) {
    std::string text = "### Keys of the server\n\n" + markdown_table(global_keys());
    text += "\n### Keys of a listener\n\n" + markdown_table(listener_keys_for(services));
    for (const ServiceSpec& service : services) {
        text += fmt::format("\n### `service = {}`\n\n{}\n", service.name, service.doc);
        if (!service.keys.empty()) text += "\n" + markdown_table(service.keys);
    }
    return text;
}

}  // namespace preforkd
