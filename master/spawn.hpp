#pragma once

#include <sys/capability.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "master/credentials.hpp"
#include "shared/log.hpp"
#include "shared/result.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// Our end of a worker that was just forked.
struct SpawnedWorker {
    Pid pid;
    UniqueFd pidfd;
    UniqueFd channel;  ///< non-blocking
};

/// Ends a worker that nobody can watch, and waits for its end.
void kill_and_reap(const SpawnedWorker& worker) noexcept;

/// Makes workers: fork, then exec of this very program by descriptor, so that each has a memory
/// layout and a stack canary of its own, and nothing of the master's memory.
class Spawner {
  public:
    /// `image`: the program, open; `oom_score`: see lower_oom_score(). Throws StartupError.
    Spawner(UniqueFd image, std::optional<Credentials> credentials, std::string oom_score = {});

    /// Starts a worker whose descriptors 1 and 2 are `output` and `error`, and whose title is
    /// `title` until it sets its own. Errors: EAGAIN  a limit on processes; ENOMEM; EMFILE.
    [[nodiscard]] Result<SpawnedWorker> spawn(const std::string& title, const UniqueFd& output,
                                              const UniqueFd& error) const;

    [[nodiscard]] const UniqueFd& image() const noexcept { return image_; }
    [[nodiscard]] const std::optional<Credentials>& credentials() const noexcept {
        return credentials_;
    }

  private:
    struct FreeCapabilities {
        void operator()(cap_t capabilities) const noexcept { ::cap_free(capabilities); }
    };

    UniqueFd image_;
    UniqueFd null_;
    std::optional<Credentials> credentials_;
    std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCapabilities> no_capabilities_;
    std::vector<std::string> environment_;
    std::string oom_score_;
};

}  // namespace preforkd::master
