#pragma once

#include <cassert>
#include <functional>
#include <string>
#include <typeindex>
#include <vector>

#include "key.hpp"  // by bare name, for this header is installed

namespace preforkd {

/// A number of a service's own that the scoreboard shows beside what every service has.
struct Metric {
    enum class Kind { counter, gauge };
    std::string name;  ///< [a-z][a-z0-9_]*, at most 40; a counter's without _total
    Kind kind = Kind::counter;
    std::string doc;  ///< one sentence
};

/// Where something was said: a file's line, or (line 0) "-o KEY" and the like.
/// Nowhere (both empty): a default.
struct Origin {
    std::string file;
    unsigned line = 0;
};

/// One key of a listener's service, checked, in canonical text.
struct Setting {
    std::string key;
    std::vector<std::string> values;  ///< one, unless the key is repeatable
    std::vector<Origin> origins;      ///< of each value; none: it is the default

    /// Of what is set, not of where.
    friend bool operator==(const Setting& left, const Setting& right) {
        return left.key == right.key && left.values == right.values;
    }
};

/// What is wrong with settings that are each right.
struct SettingProblem {
    Origin origin;     ///< where the one to be changed was said
    std::string what;  ///< with its key
    std::string hint;  ///< what to do
};

/// "on line 9", "by -o listen.web.cache", "on the command line".
[[nodiscard]] std::string place_of(const Origin& origin);

/// What the configuration and the master need to know about a service.
struct ServiceSpec {
    std::string name{};  ///< as in `service = http`; [a-z0-9_-]+
    std::string doc{};   ///< one sentence for --help and the manual
    std::vector<KeySpec> keys{};
    bool client_speaks_first = false;     ///< the listener may defer accepting until data is there
    std::string sample_address{};         ///< what the sample file listens on, such as *:80
    std::vector<Metric> metrics{};        ///< at most most_metrics (scoreboard.hpp)
    bool reads_scoreboard = false;        ///< its workers get the pages of all others, to read
    std::vector<std::string> programs{};  ///< started by one of these names, it is served alone
    /// How a listener's settings contradict each other.
    std::function<std::vector<SettingProblem>(const std::vector<Setting>&)> check{};
};

/// The options struct of a service, filled from a listener's settings, which the loader has
/// checked and completed with defaults. Requires: every key is bound to a member of Options.
template <class Options>
[[nodiscard]] Options read_options(const std::vector<KeySpec>& keys,
                                   const std::vector<Setting>& settings) {
    Options options{};
    for (const KeySpec& key : keys) {
        assert(key.owner == std::type_index(typeid(Options)));
        for (const Setting& setting : settings)
            if (setting.key == key.name) key.store(setting.values, &options);
    }
    return options;
}

}  // namespace preforkd
