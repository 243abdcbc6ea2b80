#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <preforkd/service.hpp>
#include <string>
#include <vector>

#include "shared/unique_fd.hpp"

namespace preforkd::worker::board {

/// Wakes this worker's connections that wait for messages, whichever worker stores them: a store
/// announces each commit, and every process that has the file in its inotify(7) hears it. While
/// nobody here waits, this worker is not woken either: its queue holds one event, unread.
class Watch {
  public:
    /// From now on hears of commits to the file behind `descriptor`. Requires: in a worker's
    /// thread, before the worker is confined.
    explicit Watch(int descriptor);
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    /// Why nothing is heard; empty when all is well.
    [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

    /// A connection that is woken (Connection::wake) at each commit as long as this lives.
    class Place {
      public:
        Place(Watch& watch, Connection& connection);
        ~Place();
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;

      private:
        Watch& watch_;
        Connection& connection_;
    };

  private:
    class Rest;
    class Follower;

    task<void> follow();
    void forget_events() noexcept;

    UniqueFd events_;
    std::string fault_;
    std::vector<Connection*> waiting_;
    boost::asio::posix::stream_descriptor* followed_ = nullptr;  // what follow() waits for
    std::coroutine_handle<> resting_;                            // follow(), while nobody waits
};

}  // namespace preforkd::worker::board
