#include "master/spawn.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "master/child_setup.hpp"
#include "master/null_device.hpp"
#include "shared/exit_code.hpp"
#include "shared/syscalls.hpp"
#include "shared/worker_entry.hpp"

namespace preforkd::master {
namespace {

/// What a worker may know of our environment: how to show times and messages.
constexpr std::array<std::string_view, 4> kept_variables{"TZ=", "LANG=", "LC_", "PATH="};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::array<std::string_view, 4> kept_by_sanitizers{
    "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS="};
#else
constexpr std::array<std::string_view, 0> kept_by_sanitizers{};
#endif

bool is_kept(std::string_view variable) {
    const auto begins = [&](std::string_view name) { return variable.starts_with(name); };
    return std::any_of(kept_variables.begin(), kept_variables.end(), begins) ||
           std::any_of(kept_by_sanitizers.begin(), kept_by_sanitizers.end(), begins);
}

std::vector<std::string> worker_environment() {
    std::vector<std::string> kept;
    for (char** variable = environ; *variable != nullptr; ++variable)
        if (is_kept(*variable)) kept.emplace_back(*variable);
    return kept;
}

/// Holds every signal back while it lives: one that comes between fork and exec would run, in the
/// child, as if it were meant for it.
class BlockedSignals {
  public:
    BlockedSignals() noexcept {
        sigset_t all;
        sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, &before_);
    }
    ~BlockedSignals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

  private:
    sigset_t before_{};
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

}  // namespace

void kill_and_reap(const SpawnedWorker& worker) noexcept {
    ::kill(worker.pid.value, SIGKILL);  // not reaped, so its number is still its own
    ::waitpid(worker.pid.value, nullptr, 0);
}

Spawner::Spawner(UniqueFd image, std::optional<Credentials> credentials, std::string oom_score)
    : image_(std::move(image)),
      null_(open_null_device(O_RDWR)),
      credentials_(std::move(credentials)),
      no_capabilities_(::cap_init()),
      environment_(worker_environment()),
      oom_score_(std::move(oom_score)) {
    if (!no_capabilities_) throw StartupError(exit_failure, "cap_init: " + last_error().message());
}

Result<SpawnedWorker> Spawner::spawn(const std::string& title, const UniqueFd& output,
                                     const UniqueFd& error) const {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return last_error();
    SpawnedWorker worker;
    worker.channel.reset(ends[0]);
    refuse_descriptors(worker.channel);
    const UniqueFd workers_end(ends[1]);
    if (::fcntl(worker.channel.get(), F_SETFL, O_NONBLOCK) < 0) return last_error();

    std::vector<std::string> arguments{title, std::string(worker_argument)};
    std::vector<std::string> variables = environment_;
    const std::vector<char*> argv = pointers_to(arguments);
    const std::vector<char*> environment = pointers_to(variables);
    ChildSetup setup;
    setup.image = image_.get();
    setup.descriptors = {null_.get(), output.get(), error.get(), workers_end.get()};
    setup.argv = argv.data();
    setup.environment = environment.data();
    setup.credentials = credentials_ ? &*credentials_ : nullptr;
    setup.no_capabilities = no_capabilities_.get();
    setup.master = ::getpid();
    setup.oom_score = oom_score_.c_str();

    const BlockedSignals blocked;
    worker.pid.value = ::fork();
    if (worker.pid.value < 0) return last_error();
    if (worker.pid.value == 0) become_worker(setup);
    auto pidfd = open_pidfd(worker.pid);
    if (!pidfd) {  // out of descriptors: a child that can't be watched must not live
        kill_and_reap(worker);
        return pidfd.error();
    }
    worker.pidfd = std::move(*pidfd);
    return worker;
}

}  // namespace preforkd::master
