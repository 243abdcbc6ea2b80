#include "master/callers_stderr.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

namespace preforkd::master {
namespace {

constexpr int appending = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

/// By its link, which leads to the very file, whatever has become of its name. Source: proc(5).
UniqueFd open_anew(int descriptor) {
    return UniqueFd(::open(fmt::format("/proc/self/fd/{}", descriptor).c_str(), appending));
}

/// A terminal stays its first user's after su(1), but everybody may open their own controlling one
/// by this name; tcgetsid(3) fails for any other.
UniqueFd open_controlling(int terminal) {
    return UniqueFd(::tcgetsid(terminal) < 0 ? -1 : ::open("/dev/tty", appending));
}

/// `2> FILE` leaves a file whose writers share an offset that any of them may move. Appending they
/// can't overwrite each other, whoever opened it: also not what others of the caller's print there,
/// so that it is set for the descriptor that we share with them too, and stays. make(1) does so.
void append_for_all(int descriptor) noexcept {
    const int flags = ::fcntl(descriptor, F_GETFL);
    if (flags >= 0 && (flags & O_APPEND) == 0) (void)::fcntl(descriptor, F_SETFL, flags | O_APPEND);
}

}  // namespace

UniqueFd open_as_log(int descriptor) {
    struct stat status {};
    (void)::fstat(descriptor, &status);
    if (S_ISREG(status.st_mode)) append_for_all(descriptor);
    UniqueFd log;
    // Not any other device: opening may mean something to it.
    if (S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode) || ::isatty(descriptor) != 0)
        log = open_anew(descriptor);
    if (!log.is_open()) log = open_controlling(descriptor);
    return log.is_open() ? std::move(log) : UniqueFd(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
}

std::string notice_of_log(const UniqueFd& log) {
    if (::isatty(log.get()) == 0 || (::fcntl(log.get(), F_GETFL) & O_ACCMODE) == O_WRONLY)
        return {};
    return "workers can read what is typed at this terminal, which is another user's and can't be "
           "opened for writing alone; redirect standard error, or start from a terminal of your "
           "own";
}

}  // namespace preforkd::master
