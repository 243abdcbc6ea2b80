#pragma once

#include <filesystem>
#include <map>
#include <preforkd/sandbox_needs.hpp>
#include <preforkd/service.hpp>
#include <preforkd/service_type.hpp>
#include <string>

#include "shared/unique_fd.hpp"
#include "worker/services/board.hpp"

namespace preforkd::testing {

/// The program that the tests are is a server as well, when it is started by this name; so workers
/// can be asked what only they can know, and told to do what no worker should.
inline constexpr const char* probe_program = "probed";

/// In the environment of a server of that name: what its workers have in theirs, besides, as
/// NAME=VALUE;NAME=VALUE.
inline constexpr const char* worker_environment = "LC_PROBE_ENVIRONMENT";

/// In the environment of a server of that name: a file, which may be absent, with a program and its
/// arguments, one a line, that executes its workers.
inline constexpr const char* worker_wrapper = "LC_PROBE_WRAPPER";

/// A service for tests. Each line is a question or an order; see probe.cpp.
class Probe final : public Service {
  public:
    struct Options {
        std::string gate;            ///< the name of a Gate to wait at while starting
        std::filesystem::path note;  ///< a file that is copied
    };
    static std::vector<KeySpec> keys();

    void start(ServiceContext& context) override;
    task<void> serve(Connection& client) override;
    void stop() override;

  private:
    ServiceContext* context_ = nullptr;
    std::string last_words_;
    std::string note_;
    std::map<std::string, std::string> answers_;
};

/// The same, allowed what a service that serves files is.
class FileProbe : public Service {
  public:
    static constexpr SandboxNeeds needs{.reads_folders = true};
    struct Options {
        std::filesystem::path root;   ///< a folder
        std::filesystem::path data;   ///< a file; it may be absent
        std::filesystem::path board;  ///< a file with its lock; it may be absent
    };
    static std::vector<KeySpec> keys();

    void start(ServiceContext& context) override;
    task<void> serve(Connection& client) override;

  private:
    UniqueFd root_;
};

/// The same with other needs.
struct ConnectingProbe final : FileProbe {
    static constexpr SandboxNeeds needs{.connects = true};
};
struct WritingProbe final : FileProbe {
    static constexpr SandboxNeeds needs{.writes_files = true};
};
struct ThreadProbe final : FileProbe {
    static constexpr SandboxNeeds needs{.starts_threads = true};
};
struct BoardProbe final : FileProbe {
    static constexpr SandboxNeeds needs = worker::Board::needs;
};

}  // namespace preforkd::testing
