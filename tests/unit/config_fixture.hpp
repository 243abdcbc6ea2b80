#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shared/config_load.hpp"

// A made-up program with made-up services in a made-up machine, for the tests of the configuration.

namespace config_fixture {

using namespace preforkd;
using namespace std::chrono_literals;

enum class Colour { red, green };

/// One field of every kind of value.
struct WebOptions {
    std::filesystem::path root;
    std::filesystem::path index_file;
    std::chrono::milliseconds idle_timeout{};
    std::chrono::seconds max_age{};
    unsigned max_connections = 0;
    int offset = 0;
    ByteCount max_body;
    FileMode mode;
    bool listing = false;
    Colour colour = Colour::red;
    std::string title;
    std::vector<std::string> add_header;
    std::optional<ByteCount> cache;
    UserName owner;
    GroupName team;
};

inline ServiceSpec web_service() {
    using std::filesystem::path;
    return {
        .name = "web",
        .doc = "Serves the files of a folder.",
        .keys =
            {
                Key<path>{.name = "root",
                          .field = &WebOptions::root,
                          .opens = Opens::folder,
                          .required = true,
                          .example = "/srv/www",
                          .doc = "The folder that is served."},
                Key<path>{.name = "index_file",
                          .field = &WebOptions::index_file,
                          .opens = Opens::file,
                          .doc = "Sent for a folder."},
                Key<std::chrono::milliseconds>{.name = "idle_timeout",
                                               .field = &WebOptions::idle_timeout,
                                               .def = 60s,
                                               .min = 1s,
                                               .max = 1h,
                                               .doc = "How long a connection may be silent."},
                Key<std::chrono::seconds>{.name = "max_age",
                                          .field = &WebOptions::max_age,
                                          .def = 0s,
                                          .min = 1s,
                                          .max = 24h,
                                          .zero = "off",
                                          .doc = "How long others may keep a copy."},
                Key<unsigned>{.name = "max_connections",
                              .field = &WebOptions::max_connections,
                              .def = 1000,
                              .min = 1,
                              .doc = "Connections at a time."},
                Key<int>{.name = "offset",
                         .field = &WebOptions::offset,
                         .def = 0,
                         .min = -5,
                         .max = 5,
                         .doc = "A number that may be negative."},
                Key<ByteCount>{.name = "max_body",
                               .field = &WebOptions::max_body,
                               .def = {1 << 20},
                               .min = {1024},
                               .max = {1 << 30},
                               .doc = "The largest request."},
                Key<FileMode>{.name = "mode",
                              .field = &WebOptions::mode,
                              .def = {0644},
                              .doc = "Of new files."},
                Key<bool>{.name = "listing",
                          .field = &WebOptions::listing,
                          .reload = Reload::restart,
                          .doc = "Whether folders are listed."},
                Key<Colour>{.name = "colour",
                            .field = &WebOptions::colour,
                            .def = Colour::green,
                            .choices = {{"red", Colour::red}, {"green", Colour::green}},
                            .doc = "Of the page."},
                Key<std::string>{.name = "title",
                                 .field = &WebOptions::title,
                                 .def = "a | b",
                                 .doc = "Of the page. \\ is a backslash."},
                Key<std::vector<std::string>>{.name = "add_header",
                                              .field = &WebOptions::add_header,
                                              .def = {"X: 1", "Y: 2"},
                                              .doc = "Sent with each response."},
                Key<std::optional<ByteCount>>{.name = "cache",
                                              .field = &WebOptions::cache,
                                              .min = {4096},
                                              .zero = "off",
                                              .default_note = "as much as fits",
                                              .doc = "Memory for files."},
                Key<UserName>{.name = "owner", .field = &WebOptions::owner, .doc = "Of new files."},
                Key<GroupName>{.name = "team", .field = &WebOptions::team, .doc = "Of new files."},
            },
        .client_speaks_first = true,
        .sample_address = "*:8080",
    };
}

inline std::vector<ServiceSpec> services() {
    return {web_service(), {.name = "echo", .doc = "Sends back what it gets.", .keys = {}}};
}

/// Knows localhost (IPv4), both.test (IPv4 and IPv6), and nobody else.
inline ParsedAddress resolve(const std::string& host, std::uint16_t port) {
    const auto numbers = [port](const std::string& address) {
        return parse_address(address + ":" + std::to_string(port), "/", Resolver())
            .addresses.front();
    };
    if (host == "localhost") return {{numbers("127.0.0.1")}, {}, {}};
    if (host == "both.test") return {{numbers("192.0.2.1"), numbers("[2001:db8::1]")}, {}, {}};
    return {{}, "cannot find host '" + host + "': Name or service not known", "try another"};
}

/// A machine with the users root, toor and preforkd.
inline Surroundings surroundings(std::map<std::string, std::string> environment = {}) {
    static const std::map<std::string, unsigned> accounts = {
        {"root", 0}, {"toor", 0}, {"preforkd", 990}};
    const auto find = [](const std::string& name) -> std::optional<unsigned> {
        const auto found = accounts.find(name);
        return found == accounts.end() ? std::nullopt : std::optional(found->second);
    };
    const auto variable = [environment](const std::string& name) -> std::optional<std::string> {
        const auto found = environment.find(name);
        return found == environment.end() ? std::nullopt : std::optional(found->second);
    };
    return {.environment = variable, .find_user = find, .find_group = find, .resolve = resolve};
}

/// A folder of its own for each test, which vanishes with it.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string name = std::filesystem::temp_directory_path() / "preforkd-config-XXXXXX";
        if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
        path_ = std::filesystem::canonical(name);
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    std::filesystem::path write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ / name, std::ios::binary) << text;
        ::chmod((path_ / name).c_str(), 0600);
        return path_ / name;
    }

  private:
    std::filesystem::path path_;
};

/// What a user 1000 asks for who types `arguments` in the folder /home/u.
inline LoadRequest request(const std::vector<std::string>& arguments) {
    const auto command_line = parse_command_line(arguments, services());
    if (!command_line) throw std::runtime_error(to_string(command_line.error()));
    return {.program = "served",
            .command_line = *command_line,
            .services = services(),
            .effective_uid = 1000,
            .working_folder = "/home/u",
            .surroundings = surroundings()};
}

/// Loads `text` as the file conf in a folder, with further arguments.
inline LoadResult load_text(const TemporaryFolder& folder, const std::string& text,
                            std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"-c", folder.write("conf", text)});
    return load_config(request(arguments));
}

/// The faults of `text` as printed, with the folder's name left out.
inline std::string faults_of(const std::string& text, std::vector<std::string> arguments = {}) {
    const TemporaryFolder folder;
    const LoadResult result = load_text(folder, text, std::move(arguments));
    std::string printed = result ? "" : to_string(result.error());
    const std::string prefix = folder.path().string() + "/";
    for (std::size_t at; (at = printed.find(prefix)) != std::string::npos;)
        printed.erase(at, prefix.size());
    return printed;
}

/// What is read back of a configuration that must be right.
inline Config loaded(const LoadResult& result) {
    if (!result) throw std::runtime_error(to_string(result.error()));
    return *result;
}

}  // namespace config_fixture
