#include "worker/worker.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <cstring>
#include <map>
#include <memory>
#include <preforkd/service.hpp>
#include <random>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "shared/config_load.hpp"
#include "shared/drain_margin.hpp"
#include "shared/exit_code.hpp"
#include "shared/file_copies.hpp"
#include "shared/process_title.hpp"
#include "shared/scoreboard.hpp"
#include "shared/syscalls.hpp"
#include "shared/worker_entry.hpp"
#include "worker/access_log.hpp"
#include "worker/engine.hpp"
#include "worker/handover.hpp"
#include "worker/sandbox.hpp"

namespace preforkd::worker {
namespace {

/// Up to a fifth earlier than the limits say, by chance: workers that began together would
/// otherwise all be replaced together.
double share_of_limits() {
    std::random_device chance;
    return std::uniform_real_distribution<double>(0.8, 1.0)(chance);
}

/// The files that were copied for services, for as long as this lives. Throws.
class Copies {
  public:
    explicit Copies(const UniqueFd& memory) {
        if (!memory.is_open()) return;
        auto mapping = Mapping::read_only(memory);
        if (!mapping) throw std::runtime_error("copies of files: " + mapping.error().message());
        mapping_ = std::move(*mapping);
        auto copies = decode_copies({static_cast<const char*>(mapping_.get()), mapping_.size()});
        if (!copies) throw std::runtime_error("copies of files: not what this program makes");
        all_ = std::move(*copies);
    }

    [[nodiscard]] ServiceContext::Copies of(std::uint32_t section) const {
        ServiceContext::Copies copies;
        for (const FileCopy& copy : all_)
            if (copy.section == section) copies[{copy.key, copy.number}] = copy.content;
        return copies;
    }

  private:
    Mapping mapping_;
    std::vector<FileCopy> all_;
};

/// A worker from its hand-over to its end.
class Worker {
  public:
    Worker(const UniqueFd& channel, Handover handover, Config config,
           std::span<const ServiceType> types);

    /// Throws what a service's start() throws.
    void start_services();

    /// Gives up all that no service needs from here on. Throws what can't be given up.
    void confine();
    int serve();

  private:
    struct RunningService {
        std::unique_ptr<ServiceContext> context;
        std::unique_ptr<Service> service;
    };

    [[nodiscard]] const ServiceType& type_of(const ListenSection& section) const;
    [[nodiscard]] std::map<std::string, int, std::less<>> paths_of(std::uint32_t section) const;
    void start_service(RunningService& running, std::uint32_t index, const Copies& copies);
    void allow_needs_of(const ListenSection& section, std::uint32_t index);
    void on_channel();
    void on_message(Received received);
    void on_term();
    void on_tick();
    void recycle_at_its_time();
    void ask_for_successor(const std::string& why);
    void drain();
    void stop_listening(std::size_t listener, Queue queue);
    void say(MessageKind kind, std::uint32_t number);
    void leave();

    const UniqueFd& channel_;
    UniqueFd term_;
    Handover handover_;
    Config config_;
    std::span<const ServiceType> types_;
    Logger log_;
    std::map<std::uint32_t, RunningService> services_;  ///< by section; outlive the engine
    Engine engine_;
    boost::asio::steady_timer lifetime_;
    AccessLog access_log_;
    std::set<std::size_t> kept_;  ///< listeners that a drain doesn't concern
    OwnUsage usage_;
    const double lifetime_share_ = share_of_limits();  ///< of max_requests and the like
    bool recycling_ = false;
    Sandbox sandbox_;
    bool draining_ = false;
    bool alone_ = false;  ///< told to leave by something else than a living master
};

/// TERM, blocked since before the exec, as something to read: from the master's death or a person.
/// Throws std::system_error.
UniqueFd open_term() {
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    UniqueFd opened(::signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!opened.is_open()) throw std::system_error(last_error(), "signalfd");
    return opened;
}

std::string title(const Config& config, const Handover& handover, const char* state) {
    return fmt::format("{}: worker {} gen {}{}", config.program, handover.slot,
                       handover.generation.value, state);
}

Worker::Worker(const UniqueFd& channel, Handover handover, Config config,
               std::span<const ServiceType> types)
    : channel_(channel),
      term_(open_term()),
      handover_(std::move(handover)),
      config_(std::move(config)),
      types_(types),
      log_(STDERR_FILENO, handover_.error_style, config_.log_level, config_.program),
      engine_(log_),
      lifetime_(engine_.context()),
      access_log_(engine_.context(), config_.log_format) {
    set_process_title(title(config_, handover_, ""));
    auto page = Mapping::writable(handover_.page);
    engine_.be_watched(page ? OwnPage(std::move(*page)) : OwnPage(),
                       std::move(handover_.hang_timer));
    handover_.page.reset();
    // A page that is asked for before it has arrived is in the channel.
    if (handover_.scoreboard)
        handover_.scoreboard->set_find_page([this](const WorkerEntry&) {
            on_channel();
            return UniqueFd();
        });
    access_log_.report_to(log_);
    access_log_.redirect(std::move(handover_.access_log));
}

const ServiceType& Worker::type_of(const ListenSection& section) const {
    const auto found = std::find_if(types_.begin(), types_.end(), [&](const ServiceType& type) {
        return type.name == section.service;
    });
    if (found == types_.end())
        throw std::runtime_error("this program has no service '" + section.service + "'");
    return *found;
}

std::map<std::string, int, std::less<>> Worker::paths_of(std::uint32_t section) const {
    std::map<std::string, int, std::less<>> descriptors;
    for (const SectionDescriptor& path : handover_.paths)
        if (path.section == section) descriptors.emplace(path.key, path.descriptor.get());
    return descriptors;
}

void Worker::start_services() {
    const Copies copies(std::exchange(handover_.copies, UniqueFd()));
    for (SectionDescriptor& listener : handover_.listeners) {
        const ListenSection& section = config_.listeners.at(listener.section);
        RunningService& running = services_[listener.section];
        if (!running.service) start_service(running, listener.section, copies);
        sandbox_.last_shared = std::max(sandbox_.last_shared, listener.descriptor.get());
        engine_.add_listener({std::move(listener.descriptor), section.name, section.service,
                              running.service.get(),
                              // The page's sections are in the order of the configuration's.
                              services_.size() - 1});
    }
}

void Worker::start_service(RunningService& running, std::uint32_t index, const Copies& copies) {
    const ListenSection& section = config_.listeners.at(index);
    const ServiceType& type = type_of(section);
    running.context = std::make_unique<ServiceContext>(
        section.name, type.read_options(section.settings), paths_of(index), log_, &access_log_,
        handover_.scoreboard ? &*handover_.scoreboard : nullptr);
    running.context->keep_metrics(type.metrics, engine_.counters(services_.size() - 1).metrics);
    running.context->keep_copies(copies.of(index));
    running.service = type.make();
    running.service->start(*running.context);
    running.context->keep_copies({});
    allow_needs_of(section, index);
}

/// Folders that the master opened are readable to the service that it opened them for.
void Worker::allow_needs_of(const ListenSection& section, std::uint32_t index) {
    const ServiceType& type = type_of(section);
    sandbox_.needs.add(type.needs);
    if (!type.needs.reads_folders) return;
    for (const KeySpec& key : type.keys) {
        const auto paths = paths_of(index);
        const auto path = paths.find(key.name);
        if (key.opens == Opens::folder && path != paths.end())
            sandbox_.folders.push_back(path->second);
    }
}

void Worker::confine() {
    ::fcntl(channel_.get(), F_SETFL, O_NONBLOCK);  // nobody may once it is confined
    if (sandbox_.needs.starts_threads) engine_.offer_threads();
    sandbox_.kernel = *handover_.kernel;
    if (config_.sandbox == SandboxMode::strict) worker::confine(sandbox_);
    for (auto& [section, running] : services_) running.service->confined();
}

int Worker::serve() {
    // What may fail comes before READY, or the old generation would go for one that can't be.
    engine_.watch(channel_.get(), [this] { on_channel(); });
    engine_.watch(term_.get(), [this] { on_term(); });
    Message ready;
    ready.kind = MessageKind::ready;
    if (send_message(channel_, ready)) return exit_failure;
    engine_.on_full([this](bool full) { say(MessageKind::full, full ? 1 : 0); });
    engine_.on_deaf([this] { say(MessageKind::deaf, 0); });
    engine_.on_tick([this] { on_tick(); });
    recycle_at_its_time();
    engine_.start_accepting();
    engine_.run();
    for (auto& [section, running] : services_) running.service->stop();
    access_log_.flush();
    return exit_ok;
}

void Worker::on_channel() {
    for (;;) {
        auto received = receive_from_master(channel_);
        if (received) {
            on_message(std::move(*received));
            continue;
        }
        if (received.error().value() == EAGAIN) return;
        if (received.error().value() == EMFILE) {
            log_.error(
                "no descriptor is free for a log or a page that the master sent; raise the "
                "limit (LimitNOFILE=, ulimit -n)");
            continue;
        }
        // The master is gone or not ours: nobody will ever tell us to leave.
        engine_.unwatch(channel_.get());
        return leave();
    }
}

void Worker::on_message(Received received) {
    switch (received.message.kind) {
        case MessageKind::keep_listening:
            kept_.insert(received.message.section);
            return;
        case MessageKind::drain:
            return drain();
        case MessageKind::stop_listening:
            if (received.message.section < engine_.listener_count())
                stop_listening(received.message.section, Queue::taken);
            return;
        case MessageKind::output_log:
            ::dup2(received.descriptor.get(), STDOUT_FILENO);
            return;
        case MessageKind::error_log:
            ::dup2(received.descriptor.get(), STDERR_FILENO);
            log_.redirect(STDERR_FILENO, static_cast<LogStyle>(received.message.section));
            return;
        case MessageKind::access_log:
            access_log_.redirect(std::move(received.descriptor));
            return;
        case MessageKind::scoreboard:
            if (handover_.scoreboard)
                (void)handover_.scoreboard->replace_master_page(received.descriptor);
            return;
        case MessageKind::other_page:
            if (handover_.scoreboard)
                (void)handover_.scoreboard->add_page(received.message.section, received.descriptor);
            return;
        default:
            return;
    }
}

void Worker::on_term() {
    signalfd_siginfo info;
    while (::read(term_.get(), &info, sizeof info) == sizeof info) leave();
}

void Worker::on_tick() {
    WorkerPage& page = engine_.page();
    page.memory.set(usage_.memory());
    page.cpu.set(OwnUsage::cpu());
    page.log_lines_dropped.set(lost_log_lines() + access_log_.lost_lines());
    const double most = lifetime_share_ * static_cast<double>(config_.max_rss.value);
    if (most > 0 && static_cast<double>(page.memory.get()) > most)
        ask_for_successor(fmt::format("it has {} bytes resident", page.memory.get()));
}

void Worker::recycle_at_its_time() {
    if (config_.max_requests != 0) {
        const auto limit = static_cast<std::uint64_t>(lifetime_share_ * config_.max_requests);
        engine_.on_requests(std::max<std::uint64_t>(limit, 1), [this] {
            ask_for_successor(fmt::format("it has served {} requests", engine_.request_count()));
        });
    }
    if (config_.max_lifetime.count() != 0) {
        lifetime_.expires_after(
            std::chrono::duration_cast<milliseconds>(config_.max_lifetime * lifetime_share_));
        lifetime_.async_wait([this](const error_code& error) {
            if (!error) ask_for_successor("its lifetime is over");
        });
    }
}

/// The master makes one, and tells us to drain when it is ready.
void Worker::ask_for_successor(const std::string& why) {
    if (std::exchange(recycling_, true) || draining_) return;
    Message message;
    message.kind = MessageKind::recycle;
    message.set_text(why);
    (void)send_message(channel_, message);
}

/// Drains with nobody left to enforce its end: the alarm's default action does, even if we hang.
void Worker::leave() {
    if (std::exchange(alone_, true)) return;
    const auto timeout = std::chrono::ceil<seconds>(config_.drain_timeout) + drain_margin;
    (void)::signal(SIGALRM, SIG_DFL);  // until now it has no meaning
    ::alarm(static_cast<unsigned>(timeout.count()));
    kept_.clear();
    drain();
    engine_.stop_accepting(Queue::taken);
}

// Sockets that it gives up here have another worker already, or belong to the service manager.
void Worker::drain() {
    if (draining_) return;
    draining_ = true;
    set_process_title(title(config_, handover_, " (draining)"));
    DrainRules rules;
    rules.timeout = std::chrono::ceil<seconds>(config_.drain_timeout);
    rules.grace = std::chrono::ceil<seconds>(config_.keepalive_grace);
    rules.keep_accepting = true;
    engine_.drain(rules, [this] { engine_.stop(); });
    if (alone_) return;
    for (std::size_t listener = 0; listener < engine_.listener_count(); ++listener)
        if (!kept_.contains(listener)) stop_listening(listener, Queue::left);
}

void Worker::stop_listening(std::size_t listener, Queue queue) {
    engine_.stop_accepting(listener, queue);
    say(MessageKind::stopped, static_cast<std::uint32_t>(listener));
}

/// A master that doesn't read is dead or will be told by other means.
void Worker::say(MessageKind kind, std::uint32_t number) {
    Message message;
    message.kind = kind;
    message.section = number;
    (void)send_message(channel_, message);
}

/// Tells the master why this worker ends; it logs the text and decides what follows.
int fail(const UniqueFd& channel, const std::string& why) {
    Message message;
    message.kind = MessageKind::failed;
    message.set_text(why);
    (void)send_message(channel, message);
    return exit_failure;
}

}  // namespace

bool is_worker(int argc, char** argv) noexcept {
    if (argc != 2 || argv[1] != worker_argument) return false;
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(channel_fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
           type == SOCK_SEQPACKET;
}

namespace {

/// Is open until the process ends: nobody may close it once the worker is confined.
struct LastingChannel {
    UniqueFd fd{channel_fd};
    LastingChannel() = default;
    LastingChannel(const LastingChannel&) = delete;
    LastingChannel& operator=(const LastingChannel&) = delete;
    ~LastingChannel() { (void)fd.release(); }
};

}  // namespace

int run_worker(std::span<const ServiceType> services) {
    // First of all, for the exec set it back: no core, no ptrace by others of the same user, and
    // /proc/PID belongs to root. Source: prctl(2), PR_SET_DUMPABLE.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    ::fcntl(channel_fd, F_SETFD, FD_CLOEXEC);
    const LastingChannel lasting;
    const UniqueFd& channel = lasting.fd;
    auto handover = receive_handover(channel);
    if (!handover) return fail(channel, "hand-over: " + with_limit_advice(handover.error()));
    const std::vector<ServiceSpec> specs(services.begin(), services.end());
    auto config = parse_effective(handover->config_text, specs);
    if (!config) return fail(channel, "configuration: " + to_string(config.error()));
    try {
        Worker worker(channel, std::move(*handover), std::move(*config), services);
        worker.start_services();
        worker.confine();
        return worker.serve();
    } catch (const std::exception& error) {
        return fail(channel, error.what());
    }
}

}  // namespace preforkd::worker
