#include "bench/load/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <csignal>
#include <sstream>

namespace preforkd::bench {

namespace po = boost::program_options;

namespace {

/// Lets durations be options of their own kind.
struct Duration {
    nanoseconds value{0};
};

void validate(boost::any& out, const std::vector<std::string>& words, Duration*, int) {
    po::validators::check_first_occurrence(out);
    out = Duration{parse_duration(po::validators::get_single_string(words))};
}

auto duration(nanoseconds& target) {
    return po::value<Duration>()->value_name("TIME")->notifier(
        [&target](const Duration& given) { target = given.value; });
}

template <class T>
auto value(T& target, const char* name) {
    return po::value<T>(&target)->value_name(name)->default_value(target);
}

auto text(std::string& target, const char* name) {
    return po::value<std::string>(&target)->value_name(name);
}

void add_shape(po::options_description& all, Options& options) {
    po::options_description group("How the load is shaped");
    group.add_options()  //
        ("threads,t", value(options.threads, "N"),
         "threads, each with its share of connections")                                //
        ("connections,c", value(options.connections, "N"), "connections kept open")    //
        ("duration,d", duration(options.duration), "measured time (10s)")              //
        ("warmup,w", duration(options.warmup), "time before that, not measured (0s)")  //
        ("requests,n", po::value(&options.requests)->value_name("N"),
         "stop after N requests, if that comes first")  //
        ("rate,R", po::value(&options.rate)->value_name("N"),
         "open loop: N requests a second, come what may; latency counts from when each was due")  //
        ("one-shot,1", po::bool_switch(&options.one_shot), "a connection for each request")       //
        ("pipeline,p", value(options.pipeline, "N"),
         "send N requests at once, then read N answers")                                        //
        ("think", duration(options.think), "pause between an answer and the next request")      //
        ("timeout", duration(options.timeout), "a request without its answer has failed (5s)")  //
        ("spin", duration(options.spin),
         "open loop: wait busily this long before each due time (50us)");
    all.add(group);
}

void add_requests(po::options_description& all, Options& options) {
    po::options_description group("What is sent and expected");
    group.add_options()                                                //
        ("method", value(options.method, "WORD"), "http: the method")  //
        ("header,H", po::value(&options.headers)->value_name("LINE"),
         "http: a field, as 'Name: value'")  //
        ("command", text(options.command, "LINE"),
         "board, redis: what to say; default READ {n}, GET key:{n}")  //
        ("send", text(options.send, "TEXT"),
         "raw: what to send; \\n, \\r and \\t are understood")               //
        ("size", value(options.size, "BYTES"), "echo: length of a message")  //
        ("reply-bytes", value(options.reply_bytes, "BYTES"),
         "raw: length of a reply; 0 = up to a line feed")  //
        ("numbers", value(options.numbers, "N"),
         "{n} in path, command or text is a random number up to N")                         //
        ("status", value(options.status, "CODE"), "http: the status that counts as right")  //
        ("check-content", po::bool_switch(&options.check_content),
         "compare every byte of every body with the first answer's, or with --content")  //
        ("content", text(options.content_file, "FILE"),
         "what bodies must be (implies --check-content)")  //
        ("generation-header", text(options.generation_header, "NAME"),
         "http: the field that carries the server's generation; a line 'N' on standard input says "
         "that "
         "generation N now serves, and an older answer on a newer connection has failed");
    all.add(group);
}

void add_reports(po::options_description& all, Options& options, std::string& storm) {
    po::options_description group("What is observed and reported");
    group.add_options()  //
        ("server", po::value(&options.servers)->value_name("PID"),
         "report the CPU time of this process and its descendants; may be repeated")  //
        ("storm", text(storm, "PID:SIGNAL:TIME"),
         "send SIGNAL (or several, HUP,USR2, in turn) to PID every TIME")                      //
        ("json", text(options.json, "FILE"), "the whole report as JSON; - = standard output")  //
        ("slice", duration(options.slice), "length of the time line's slices in it (100ms)")   //
        ("announce", po::bool_switch(&options.announce),
         "say on standard error when all connections are up, and when measuring begins and ends")  //
        ("quiet,q", po::bool_switch(&options.quiet), "no line of progress")  //
        ("help,h", po::bool_switch(&options.help), "this text");
    all.add(group);
}

po::options_description describe(Options& options, std::string& storm) {
    po::options_description all(
        "usage: load [OPTION]... URL\n"
        "  http://HOST[:PORT]/PATH  echo://HOST:PORT  board://HOST:PORT  redis://HOST:PORT  "
        "raw://HOST:PORT\n"
        "Times take us, ms, s, m, h.",
        110);
    add_shape(all, options);
    add_requests(all, options);
    add_reports(all, options, storm);
    return all;
}

template <class Integer>
bool to_integer(std::string_view text, Integer& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
}

void require(bool holds, const char* message) {
    if (!holds) throw UsageError(message);
}

void check(const Options& options) {
    require(options.threads >= 1 && options.threads <= 1024, "--threads: must be 1 to 1024");
    require(options.connections >= options.threads, "--connections: at least one for each thread");
    require(options.pipeline >= 1 && options.pipeline <= 4096, "--pipeline: must be 1 to 4096");
    require(options.rate >= 0, "--rate: must not be negative");
    require(options.duration.count() > 0, "--duration: must be more than 0");
    require(options.timeout.count() > 0, "--timeout: must be more than 0");
    require(options.slice.count() > 0, "--slice: must be more than 0");
    require(options.numbers >= 1 && options.numbers <= UINT32_MAX,
            "--numbers: must be 1 to 4294967295");
    require(options.rate == 0 || options.think.count() == 0,
            "--rate and --think exclude each other");
    require(!options.one_shot || options.pipeline == 1,
            "--one-shot and --pipeline exclude each other");
    require(options.size >= 1 && options.size <= 16 * 1024 * 1024, "--size: must be 1 to 16777216");
    for (const std::string& line : options.headers)
        if (line.find(':') == line.npos)
            throw UsageError(fmt::format("--header '{}': must be 'Name: value'", line));
}

}  // namespace

nanoseconds parse_duration(std::string_view text) {
    double number = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    const std::string_view unit(end, std::size_t(last - end));
    const double scale = unit == "us"                  ? 1e3
                         : unit == "ms"                ? 1e6
                         : unit == "s" || unit.empty() ? 1e9
                         : unit == "m"                 ? 60e9
                         : unit == "h"                 ? 3600e9
                                                       : 0;
    if (error != std::errc() || scale == 0 || !(number >= 0) || number * scale > 1e18)
        throw UsageError(fmt::format("'{}' is not a time; write it as 500ms, 2s or 1m", text));
    return nanoseconds(std::int64_t(number * scale));
}

Url parse_url(std::string_view text) {
    constexpr std::pair<std::string_view, std::string_view> schemes[] = {{"http://", "80"},
                                                                         {"echo://", "7"},
                                                                         {"board://", "9000"},
                                                                         {"redis://", "6379"},
                                                                         {"raw://", ""}};
    Url url;
    url.text = text;
    const auto* scheme = std::find_if(std::begin(schemes), std::end(schemes),
                                      [&](const auto& one) { return text.starts_with(one.first); });
    if (scheme == std::end(schemes))
        throw UsageError(fmt::format(
            "'{}': must begin with http://, echo://, board://, redis:// or raw://", text));
    url.protocol = ProtocolName(scheme - std::begin(schemes));
    text.remove_prefix(scheme->first.size());
    const std::size_t slash = std::min(text.find('/'), text.size());
    std::string_view authority = text.substr(0, slash);
    url.path = slash < text.size() ? text.substr(slash) : "/";
    std::size_t host_end = std::min(authority.find(':'), authority.size());
    if (authority.starts_with('[')) {  // an IPv6 address
        host_end = authority.find(']') + 1;
        if (host_end > 0) url.host = authority.substr(1, host_end - 2);
    } else {
        url.host = authority.substr(0, host_end);
    }
    authority.remove_prefix(host_end);
    url.port = authority.starts_with(':') ? authority.substr(1) : scheme->second;
    const bool ends_well = authority.empty() || authority.starts_with(':');
    if (!ends_well || url.host.empty() || url.port.empty())
        throw UsageError(fmt::format("'{}': needs a host and a port", url.text));
    return url;
}

Storm parse_storm(std::string_view text) {
    constexpr std::pair<std::string_view, int> known[] = {
        {"HUP", SIGHUP},   {"USR1", SIGUSR1},  {"USR2", SIGUSR2}, {"TTIN", SIGTTIN},
        {"TTOU", SIGTTOU}, {"STOP", SIGSTOP},  {"CONT", SIGCONT}, {"TERM", SIGTERM},
        {"KILL", SIGKILL}, {"WINCH", SIGWINCH}};
    Storm storm;
    const std::size_t first = text.find(':');
    const std::size_t last = text.rfind(':');
    if (first == last || !to_integer(text.substr(0, first), storm.pid) || storm.pid < 1)
        throw UsageError(
            fmt::format("--storm '{}': must be PID:SIGNAL:TIME, as 4711:HUP:500ms", text));
    storm.every = parse_duration(text.substr(last + 1));
    if (storm.every < std::chrono::milliseconds(1))
        throw UsageError("--storm: the time must be 1ms or more");
    std::string_view names = text.substr(first + 1, last - first - 1);
    while (true) {
        const std::string_view name = names.substr(0, names.find(','));
        const auto* signal = std::find_if(std::begin(known), std::end(known),
                                          [&](const auto& one) { return one.first == name; });
        if (signal == std::end(known))
            throw UsageError(fmt::format("--storm: unknown signal '{}'", name));
        storm.signals.push_back(signal->second);
        if (name.size() == names.size()) return storm;
        names.remove_prefix(name.size() + 1);
    }
}

Options parse_options(int argc, const char* const* argv) {
    Options options;
    std::string url, storm;
    po::options_description all = describe(options, storm);
    po::options_description hidden;
    hidden.add_options()("url", po::value(&url));
    po::options_description everything;
    everything.add(all).add(hidden);
    po::positional_options_description positional;
    positional.add("url", 1);
    po::variables_map values;
    try {
        po::store(
            po::command_line_parser(argc, argv).options(everything).positional(positional).run(),
            values);
        po::notify(values);
    } catch (const po::error& error) {
        throw UsageError(error.what());
    }
    if (options.help) return options;
    if (url.empty()) throw UsageError("no URL given, as http://127.0.0.1:8080/");
    options.url = parse_url(url);
    if (!storm.empty()) options.storm = parse_storm(storm);
    if (!options.content_file.empty()) options.check_content = true;
    check(options);
    return options;
}

std::string usage() {
    Options options;
    std::string storm;
    std::ostringstream out;
    out << describe(options, storm);
    return out.str();
}

}  // namespace preforkd::bench
