#pragma once

#include <optional>
#include <string>
#include <vector>

#include "master/take_over_call.hpp"
#include "shared/types.hpp"
#include "shared/unique_fd.hpp"

namespace preforkd::master {

/// A child that executes a new program to find out whether it could take over. Nobody waits for
/// it: its end comes as SIGCHLD.
class ImageProof {
  public:
    /// Starts the program open as `image` on the sealed `state`; what it sees of the environment is
    /// `environment`. Throws StartupError.
    ImageProof(const UniqueFd& image, const UniqueFd& state, const std::string& program,
               const std::vector<std::string>& environment);
    ImageProof(const ImageProof&) = delete;
    ImageProof& operator=(const ImageProof&) = delete;
    /// Kills it if it still runs; then it is an orphan to be reaped.
    ~ImageProof();

    [[nodiscard]] Pid pid() const noexcept { return pid_; }

    /// Reaps it if it has ended, and says what came of it; else nothing. To be called once more
    /// only when it said nothing.
    [[nodiscard]] std::optional<ProofAnswer> finish();

  private:
    Pid pid_;
    UniqueFd pidfd_, answer_, printed_;
    bool ended_ = false;
};

}  // namespace preforkd::master
