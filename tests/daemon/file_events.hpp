#pragma once

#include <functional>
#include <set>
#include <string>

#include "shared/unique_fd.hpp"

namespace preforkd::testing {

/// What happens to the files of a folder, as the kernel tells it. Source: inotify(7).
class FileEvents {
  public:
    explicit FileEvents(const std::string& folder);

    /// Waits for the condition to come true, looking again when a file was written, made or
    /// renamed; false at the deadline.
    [[nodiscard]] bool wait_until(const std::function<bool()>& condition);
    /// Waits until the last process that can write to the file has closed it.
    [[nodiscard]] bool wait_for_close(const std::string& name);
    /// Closes until now don't count.
    void forget();

  private:
    void read_events();

    UniqueFd inotify_;
    std::set<std::string> closed_;
};

}  // namespace preforkd::testing
