#pragma once

#include <any>
#include <functional>
#include <memory>
#include <preforkd/sandbox_needs.hpp>
#include <string>
#include <utility>
#include <vector>

#include "shared/service_spec.hpp"

namespace preforkd {

class Service;

/// A service that a program offers: what the configuration needs to know, and how a worker makes
/// one.
struct ServiceType : ServiceSpec {
    std::function<std::unique_ptr<Service>()> make;

    SandboxNeeds needs{};

    /// A listener's checked settings as the Options struct of the service; empty without one.
    std::function<std::any(const std::vector<Setting>&)> read_options;
};

/// Offers the service `T` as `service = NAME`. What T may declare, all of it optional:
///
///     struct Options { ... };                            // its keys' values
///     static std::vector<preforkd::KeySpec> keys();      // bound to members of Options
///     static constexpr bool client_speaks_first = true;  // accept once the first bytes are there
///     static std::vector<preforkd::Metric> metrics();    // its own numbers in the scoreboard
///     static constexpr bool reads_scoreboard = true;     // it shows the numbers of all workers
///     static constexpr preforkd::SandboxNeeds needs{.reads_folders = true};  // and nothing else
///     static std::vector<preforkd::SettingProblem> check(const std::vector<preforkd::Setting>&);
///                                                        // that settings fit each other
///     static constexpr const char* doc = "...";          // a sentence for --help
///     static constexpr const char* sample_address = "*:80";
///     static constexpr const char* programs[] = {"hellod"};  // so called, a program serves only
///     it
template <class T>
[[nodiscard]] ServiceType service(std::string name) {
    ServiceType type;
    type.name = std::move(name);
    if constexpr (requires { T::doc; }) type.doc = T::doc;
    if constexpr (requires { T::sample_address; }) type.sample_address = T::sample_address;
    if constexpr (requires { T::programs; })
        type.programs.assign(std::begin(T::programs), std::end(T::programs));
    if constexpr (requires { T::client_speaks_first; })
        type.client_speaks_first = T::client_speaks_first;
    if constexpr (requires { T::reads_scoreboard; }) type.reads_scoreboard = T::reads_scoreboard;
    if constexpr (requires { T::metrics(); }) type.metrics = T::metrics();
    if constexpr (requires { T::needs; }) type.needs = T::needs;
    if constexpr (requires { type.check = &T::check; }) type.check = &T::check;
    type.make = [] { return std::make_unique<T>(); };
    type.read_options = [](const std::vector<Setting>&) { return std::any(); };
    if constexpr (requires { typename T::Options; }) {
        type.keys = T::keys();
        type.read_options = [keys = type.keys](const std::vector<Setting>& settings) {
            return std::any(preforkd::read_options<typename T::Options>(keys, settings));
        };
    }
    return type;
}

}  // namespace preforkd
