#include "master/take_over.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>

#include "master/capabilities.hpp"
#include "master/exec_in_place.hpp"
#include "master/image.hpp"
#include "master/loader.hpp"
#include "master/sanitize.hpp"
#include "master/take_over_call.hpp"
#include "master/upgrade_state.hpp"
#include "shared/config_diff.hpp"
#include "shared/exit_code.hpp"
#include "shared/process_title.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::master {
namespace {

constexpr std::size_t largest_state = 64u << 20;

[[noreturn]] void refuse(const std::string& why) {
    throw StartupError(exit_failure, why);
}

UpgradeState read_state(const UniqueFd& memory) {
    const auto bytes = read_all(memory, largest_state);
    if (!bytes) refuse("can't read the state: " + bytes.error().message());
    return decode(*bytes);
}

Config parse_running(const UpgradeState& state, const std::vector<ServiceSpec>& services) {
    LoadResult running = parse_effective(state.deployment.config_text, services);
    if (!running)
        refuse("can't go on with the running configuration: " + to_string(running.error()));
    return std::move(*running);
}

// ---- Proving ----

/// All that can go wrong when this program takes over, tried beforehand. Throws.
void try_everything(const UpgradeState& state, const std::vector<ServiceSpec>& services) {
    const LoadRequest request = request_of(state.start, services);
    const Config running = parse_running(state, services);
    (void)resolve_identity(running);
    throw_if_any(refused_changes(running, test_configuration(request), services));
}

int prove(const Invocation& invocation) {
    (void)sanitize({proof_state_fd, proof_answer_fd});
    ProofAnswer answer{true, invocation.version};
    try {
        const UpgradeState state = read_state(UniqueFd(proof_state_fd));
        if (state.master != Pid{::getppid()}) refuse("the state is another master's");
        try_everything(state, invocation.services);
    } catch (const std::exception& error) {
        answer = {false, error.what()};
    }
    return write_all(proof_answer_fd, encode(answer)) ? exit_failure : exit_ok;
}

// ---- Taking over ----

/// What the program before left to this one, by numbers.
struct Call {
    int state = -1;
    int image_before = -1;
    std::optional<std::string> came_back;  ///< why the program that we had executed sent us back
};

std::optional<int> descriptor_in(const std::string& text) {
    int number = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_open = error == std::errc() && end == text.data() + text.size() && number >= 3 &&
                         ::fcntl(number, F_GETFD) >= 0;
    return is_open ? std::optional(number) : std::nullopt;
}

/// Seals are what only the memory of a state has.
bool is_sealed(int descriptor) noexcept {
    const int seals = ::fcntl(descriptor, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

std::optional<Call> call_of(const std::vector<std::string>& arguments) {
    if (arguments.size() < 3 || arguments.size() > 4 || arguments[0] != take_over_argument)
        return std::nullopt;
    const auto state = descriptor_in(arguments[1]);
    const auto image = descriptor_in(arguments[2]);
    if (!state || !image || !is_sealed(*state)) return std::nullopt;
    Call call{*state, *image, std::nullopt};
    if (arguments.size() == 4) call.came_back = arguments[3];
    return call;
}

class TakeOver {
  public:
    TakeOver(const Invocation& invocation, Call call)
        : invocation_(invocation), call_(std::move(call)) {
        if (!call_.came_back) way_back_.emplace(invocation.name, call_.state, call_.image_before);
    }

    int run() {
        try {
            prepare();
        } catch (const std::exception& error) {
            give_up(error.what());
        }
        return go_on();
    }

  private:
    /// All that may fail. Of what the program before left nothing is owned yet, so that nothing
    /// closes or is removed on the way back.
    void prepare();
    int go_on();
    [[noreturn]] void give_up(const std::string& why) noexcept;
    void settle() noexcept;

    const Invocation& invocation_;
    Call call_;
    std::optional<WayBack> way_back_;
    UpgradeState state_;
    std::vector<int> descriptors_;
    Config config_;
    UniqueFd config_text_;
    MasterParts parts_;
};

void TakeOver::prepare() {
    state_ = read_state(UniqueFd(::fcntl(call_.state, F_DUPFD_CLOEXEC, 3)));
    if (state_.master != Pid{::getpid()}) refuse("the state is another master's");
    set_process_title(state_.start.program + ": master");
    descriptors_ = state_.descriptors();
    if (way_back_) way_back_->keep(descriptors_);
    for (const int descriptor : descriptors_)
        if (::fcntl(descriptor, F_GETFD) < 0)
            refuse(fmt::format("descriptor {} did not come through the exec", descriptor));
    if (state_.start.kernel == KernelSandbox{})  // an older program didn't say
        state_.start.kernel = ask_kernel_for_sandbox();
    sanitize_environment();
    const LoadRequest request = request_of(state_.start, invocation_.services);
    config_ = parse_running(state_, invocation_.services);
    auto text = sealed_memory("preforkd-configuration", state_.deployment.config_text);
    if (!text) refuse("can't keep the configuration: " + with_limit_advice(text.error()));
    config_text_ = std::move(*text);
    const WorkerIdentity identity = resolve_identity(config_);
    UniqueFd image = open_own_image();
    if (identity.credentials) require_executable_by(*identity.credentials, image);
    parts_.spawner =
        std::make_unique<Spawner>(std::move(image), identity.credentials, state_.start.oom_score);
    parts_.log_surroundings =
        surroundings_of(state_.start.foreground, state_.callers_stderr.number);
    const Loader loader(request, parts_.log_surroundings, identity.credentials);
    parts_.load = [loader](const Deployment& running) { return loader.reload(running); };
    parts_.loop = make_event_loop();
    parts_.services = invocation_.services;
    (void)Scoreboard(state_.start.program);  // what the master makes first; it must not fail there
    keep_needed_capabilities();
    // The last, for it owns what it gets.
    if (state_.lock.exists()) parts_.lock = LockFile::adopt(state_.lock_path, state_.lock.number);
}

int TakeOver::go_on() {
    parts_.start = state_.start;
    parts_.version = invocation_.version;
    parts_.callers_stderr.reset(state_.callers_stderr.number);
    parts_.notifier = Notifier(UniqueFd(state_.notifier.number));
    parts_.watchdog = state_.watchdog;
    parts_.deployment = restore(state_.deployment, std::move(config_), std::move(config_text_));
    StartupPipe nobody;  // waits for this start
    Master master(std::move(parts_), nobody);
    const Succeeding succeeding{state_, call_.came_back, [this] { settle(); },
                                [this](const std::string& why) { give_up(why); }};
    try {
        return master.go_on(succeeding);
    } catch (const std::exception& error) {
        return report(state_.start.program, StartupError(exit_failure, error.what()));
    }
}

void TakeOver::give_up(const std::string& why) noexcept {
    if (way_back_) way_back_->go(why);
    (void)report(state_.start.program,
                 StartupError(exit_failure, "can't go on after an upgrade that failed: " + why));
    ::_exit(exit_failure);
}

/// From here on this program is the master as if it had been so from the start.
void TakeOver::settle() noexcept {
    for (const int descriptor : descriptors_) (void)::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    ::close(call_.state);
    ::close(call_.image_before);
    if (way_back_) way_back_->close();
    sanitize_signals();
}

}  // namespace

bool is_called_by_master(const Invocation& invocation) {
    if (invocation.arguments == std::vector<std::string>{std::string(prove_argument)})
        return is_sealed(proof_state_fd) && ::fcntl(proof_answer_fd, F_GETFD) >= 0;
    return call_of(invocation.arguments).has_value();
}

int take_over(const Invocation& invocation) {
    const auto call = call_of(invocation.arguments);
    if (!call) return prove(invocation);
    return TakeOver(invocation, *call).run();
}

}  // namespace preforkd::master
