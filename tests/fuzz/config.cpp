#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "shared/config_build.hpp"
#include "shared/config_check.hpp"
#include "shared/config_diff.hpp"
#include "shared/config_load.hpp"

// Any text at all, as a configuration file: it ends in values or in faults, never in anything else.
// What is accepted must survive the way to a worker and back; what is refused must name a line that
// the text has, in words that can be printed.

namespace {

using namespace preforkd;
using namespace std::chrono_literals;

struct Options {
    std::filesystem::path root;
    std::chrono::milliseconds timeout{};
    std::optional<ByteCount> cache;
    FileMode mode;
    bool listing = false;
    std::string title;
    std::vector<std::string> header;
};

const std::vector<ServiceSpec>& services() {
    static const std::vector<ServiceSpec> all = {
        {.name = "web",
         .doc = "",
         .keys = {Key<std::filesystem::path>{
                      .name = "root", .field = &Options::root, .required = true},
                  Key<std::chrono::milliseconds>{.name = "timeout",
                                                 .field = &Options::timeout,
                                                 .def = 5s,
                                                 .max = 1h,
                                                 .zero = "off"},
                  Key<std::optional<ByteCount>>{.name = "cache", .field = &Options::cache},
                  Key<FileMode>{.name = "mode", .field = &Options::mode},
                  Key<bool>{.name = "listing", .field = &Options::listing},
                  Key<std::string>{.name = "title", .field = &Options::title, .def = "t"},
                  Key<std::vector<std::string>>{
                      .name = "header", .field = &Options::header, .def = {"a", "b"}}}},
        {.name = "echo", .doc = ""},
    };
    return all;
}

[[noreturn]] void fail(std::string_view what, std::string_view detail) {
    fmt::print(stderr, "{}:\n{}\n", what, detail);
    std::abort();
}

/// Knows nobody: a fuzzer must not ask name servers.
ParsedAddress resolve(const std::string& host, std::uint16_t) {
    return {{}, fmt::format("cannot find host '{}'", host), {}};
}

Surroundings surroundings() {
    const auto find = [](const std::string& name) -> std::optional<unsigned> {
        return name == "root" ? std::optional(0u) : name == "u" ? std::optional(1u) : std::nullopt;
    };
    return {.environment = [](const std::string&) { return std::nullopt; },
            .find_user = find,
            .find_group = find,
            .resolve = resolve};
}

void check_faults(const Faults& faults, unsigned lines) {
    for (const Fault& fault : faults) {
        const std::string text = to_string(fault);
        if (fault.what.empty() || fault.origin.line > lines) fail("a fault of nowhere", text);
        for (const char byte : text)
            if (byte != '\n' && (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f))
                fail("a fault with a control character", text);
    }
}

void check_round_trip(const Config& config) {
    const std::string text = render_effective(config, services());
    const LoadResult again = parse_effective(text, services());
    if (!again) fail("not read back: " + to_string(again.error()), text);
    if (*again != config) fail("read back as something else", text);
    if (render_effective(*again, services()) != text) fail("written differently", text);
    if (!refused_changes(config, *again, services()).empty()) fail("differs from itself", text);
    for (const ListenSection& listener : config.listeners)
        if (listener.service == "web")
            (void)read_options<Options>(services().front().keys, listener.settings);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    Faults faults;
    const auto sections = split_sections(text, "conf", faults);
    Config config = build_config(sections, services(), {"/etc/served", "/home/u"}, resolve, faults);
    config.program = "served";
    config.source_file = "/etc/served/conf";
    check_config(config, surroundings(), services(), faults);
    const auto breaks = std::count(text.begin(), text.end(), '\n');
    check_faults(faults, static_cast<unsigned>(breaks) + 1);
    if (faults.empty()) check_round_trip(config);
    (void)parse_effective(text, services());
    return 0;
}
