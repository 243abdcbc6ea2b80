#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <fstream>
#include <iterator>

#include "bench/load/endpoint.hpp"
#include "bench/load/probe.hpp"
#include "bench/load/run.hpp"
#include "shared/exit_code.hpp"

namespace {

using namespace preforkd::bench;

void raise_descriptor_limit(unsigned connections) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    constexpr unsigned others = 64;
    if (limit.rlim_max < connections + others)
        throw UsageError(fmt::format("--connections {}: this user may open {} files (ulimit -Hn)",
                                     connections, limit.rlim_max));
}

std::string contents_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (!file) throw UsageError(fmt::format("--content: can't read '{}'", path));
    return text;
}

void write_json(const std::string& path, const std::string& json) {
    if (path == "-") return fmt::print("{}", json);
    std::ofstream file(path);
    file << json;
    file.close();
    if (!file) throw std::runtime_error(fmt::format("--json: can't write '{}'", path));
}

int run(const Options& options) {
    raise_descriptor_limit(options.connections);
    ::prctl(PR_SET_TIMERSLACK, 1UL);  // open loop: be woken when it is due, not up to 50 us later
    const Endpoint endpoint = resolve(options.url);
    Protocol protocol(options);
    if (!options.content_file.empty())
        protocol.expectation.content = contents_of(options.content_file);
    probe(protocol, endpoint, options);
    const Result result = run_load(options, protocol, endpoint);
    if (options.json != "-") fmt::print("{}", text_report(options, result));
    if (!options.json.empty()) write_json(options.json, json_report(options, result));
    return result.tally.failed.get() == 0 ? preforkd::exit_ok : preforkd::exit_failure;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const Options options = parse_options(argc, argv);
        if (!options.help) return run(options);
        fmt::print("{}", usage());
        return preforkd::exit_ok;
    } catch (const UsageError& error) {
        fmt::print(stderr, "load: {}\nload --help lists the options.\n", error.what());
        return preforkd::exit_usage;
    } catch (const std::exception& error) {
        fmt::print(stderr, "load: {}\n", error.what());
        return preforkd::exit_failure;
    }
}
