#pragma once

#include <string>

#include "shared/unique_fd.hpp"

namespace preforkd::worker::board {

/// Names for two descriptors, because LMDB opens by name, and finds the lock file by its own name
/// with `-lock` behind it. The names lead to /proc/self/fd/N, past every folder on the files' real
/// way, so that a worker may open what it could not reach. Gone when the object ends; what was
/// opened stays open. Those of a process that was killed are removed by the next one of its user
/// that makes some.
class DescriptorLinks {
  public:
    /// Throws StartupError if no folder for them can be made in /tmp or /dev/shm.
    DescriptorLinks(int data, int lock);
    ~DescriptorLinks();
    DescriptorLinks(const DescriptorLinks&) = delete;
    DescriptorLinks& operator=(const DescriptorLinks&) = delete;

    /// The data file's name. The lock file's ends in `-lock`.
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

  private:
    std::string folder_path_;
    std::string path_;
    UniqueFd folder_;  ///< locked, so that others see that we live
};

}  // namespace preforkd::worker::board
