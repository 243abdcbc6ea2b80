#pragma once

#include <sys/types.h>

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/address.hpp"
#include "shared/command_line.hpp"
#include "shared/config.hpp"
#include "shared/service_spec.hpp"

namespace preforkd {

/// What loading asks the system, so that a test can answer.
struct Surroundings {
    std::function<std::optional<std::string>(const std::string& name)> environment;
    std::function<std::optional<uid_t>(const std::string& name)> find_user;
    std::function<std::optional<gid_t>(const std::string& name)> find_group;
    Resolver resolve;
};

/// The process's own environment, getpwnam(3), getgrnam(3) and getaddrinfo(3).
[[nodiscard]] Surroundings system_surroundings();

/// All that a configuration is made from. A reload loads the same request again.
struct LoadRequest {
    std::string program;  ///< the name we were started by, without folders
    CommandLine command_line;
    std::vector<ServiceSpec> services;
    uid_t effective_uid = 0;
    std::filesystem::path working_folder;  ///< the caller's; relative paths start there
    Surroundings surroundings;
};

/// A configuration that holds, or everything that is wrong with it.
using LoadResult = boost::system::result<Config, Faults>;

/// For LoadResult::value(): a StartupError with all faults and exit code 6.
[[noreturn]] void throw_exception_from_error(const Faults& faults,
                                             const boost::source_location& where);

/// The file that is read: -c FILE, else /etc/preforkd/PROGRAM.conf. Empty for SERVICE ADDRESS, and
/// when a program that serves one service alone has no such file.
[[nodiscard]] std::filesystem::path config_file_of(const LoadRequest& request);

/// Reads the file (or SERVICE ADDRESS) and -o, and checks everything that can be checked without
/// changing anything. Reports all faults, in the file's order.
[[nodiscard]] LoadResult load_config(const LoadRequest& request);

/// `config` as a file that says everything: every key, every path absolute, every address in
/// numbers.
[[nodiscard]] std::string render_effective(const Config& config,
                                           const std::vector<ServiceSpec>& services);

/// The configuration that render_effective() rendered; asks the system nothing.
[[nodiscard]] LoadResult parse_effective(std::string_view text,
                                         const std::vector<ServiceSpec>& services);

}  // namespace preforkd
