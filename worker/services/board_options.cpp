#include "worker/services/board_options.hpp"

#include <algorithm>

namespace preforkd::worker::board {
namespace {

using Mode = SyncPolicy::Mode;
using std::chrono::hours;
using std::chrono::minutes;

constexpr std::string_view interval_word = "interval";
constexpr milliseconds shortest_interval{1};
constexpr milliseconds longest_interval{minutes(1)};

}  // namespace

std::string parse_value(std::string_view text, SyncPolicy& value) {
    value = {};
    if (text == "always") return {};
    if (text == "off") {
        value.mode = Mode::off;
        return {};
    }
    if (!text.starts_with(interval_word)) return "is not a choice";
    text.remove_prefix(interval_word.size());
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    value.mode = Mode::interval;
    if (text.empty()) return {};
    if (std::string problem = preforkd::parse_value(text, value.interval); !problem.empty())
        return problem;
    const bool fits = value.interval >= shortest_interval && value.interval <= longest_interval;
    return fits ? "" : "is out of range";
}

std::string render_value(const SyncPolicy& value) {
    if (value.mode == Mode::always) return "always";
    if (value.mode == Mode::off) return "off";
    return std::string(interval_word) + " " + preforkd::render_value(value.interval);
}

std::string expected_text(const Key<SyncPolicy>&) {
    return "always, interval 1ms to interval 1m, or off";
}

std::string type_name(const Key<SyncPolicy>&) {
    return "choice";
}

std::vector<KeySpec> option_keys() {
    return {
        Key<std::filesystem::path>{
            .name = "file",
            .field = &Options::file,
            .opens = Opens::data_with_lock,
            .required = true,
            .example = "/var/lib/preforkd/bbfile",
            .doc = "The file that holds the messages. It is made if there is none, for the "
                   "workers' user, and beside it FILE-lock, which several processes need to share "
                   "it."},
        Key<SyncPolicy>{
            .name = "sync",
            .field = &Options::sync,
            .doc = "When the disk is waited for. With always, before a message is acknowledged: "
                   "nothing acknowledged is ever lost. With interval, so often: when the machine "
                   "loses power, so much may be lost, or the file be damaged. With off, when the "
                   "kernel likes: then it may be minutes. None of the three loses anything when "
                   "processes are killed. Listeners that serve one file must have the same."},
        Key<ByteCount>{.name = "max_line",
                       .field = &Options::max_line,
                       .def = {4096},
                       .min = {128},
                       .max = {32768},
                       .doc = "The longest line that a client may send, without its end. Of a "
                              "longer one the rest is thrown away and the client told so."},
        Key<seconds>{.name = "idle_timeout",
                     .field = &Options::idle_timeout,
                     .def = minutes(10),
                     .min = seconds(1),
                     .max = hours(12),
                     .doc = "How long a client may send nothing. One that watches may be silent "
                            "for ever."},
        Key<seconds>{
            .name = "send_timeout",
            .field = &Options::send_timeout,
            .def = seconds(30),
            .min = seconds(1),
            .max = hours(1),
            .doc = "How long a client may take none of what it is sent before it is cut off."},
        Key<unsigned>{.name = "max_connections",
                      .field = &Options::max_connections,
                      .def = 0,
                      .min = 1,
                      .max = 1000000,
                      .zero = "auto",
                      .doc = "Connections that one worker serves at a time; more are told so and "
                             "closed. auto: as many as the limit on descriptors allows."},
    };
}

}  // namespace preforkd::worker::board
