#pragma once

#include <atomic>
#include <string>
#include <thread>

namespace preforkd::testing {

/// Clients of an echo listener that come one after the other, all the time, each with a new
/// connection: they connect, say something, and want it back. In a thread of their own.
class Crowd {
  public:
    explicit Crowd(const std::string& address);
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;
    ~Crowd() { (void)leave(); }

    [[nodiscard]] unsigned served() const noexcept { return served_; }
    /// Stops them; what went wrong first, or nothing.
    [[nodiscard]] std::string leave();

  private:
    void run(const std::string& address);
    std::atomic<unsigned> served_ = 0;
    std::atomic<bool> over_ = false;
    std::string failure_;
    std::thread thread_;
};

}  // namespace preforkd::testing
