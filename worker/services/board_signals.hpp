#pragma once

#include <pthread.h>
#include <signal.h>

namespace preforkd::worker::board {

/// Blocks signals for this thread, and for those that it starts meanwhile.
class SignalsBlocked {
  public:
    explicit SignalsBlocked(const sigset_t& signals) noexcept {
        ::pthread_sigmask(SIG_BLOCK, &signals, &before_);
    }
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    sigset_t before_;
};

/// For threads that leave every signal to others.
inline sigset_t all_signals() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    return all;
}

/// What a terminal stops a process with; KILL's sister STOP can't be blocked.
inline sigset_t stops_of_terminals() noexcept {
    sigset_t stops;
    ::sigemptyset(&stops);
    for (const int signal : {SIGTSTP, SIGTTIN, SIGTTOU}) ::sigaddset(&stops, signal);
    return stops;
}

}  // namespace preforkd::worker::board
