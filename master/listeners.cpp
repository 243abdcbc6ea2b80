#include "master/listeners.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "master/address_holder.hpp"
#include "master/folders.hpp"
#include "master/pools.hpp"
#include "shared/exit_code.hpp"
#include "shared/syscalls.hpp"
#include "shared/types.hpp"

namespace preforkd::master {
namespace {

constexpr int first_passed_fd = 3;  // SD_LISTEN_FDS_START
constexpr seconds orphan_patience{1};
constexpr milliseconds orphan_retry{20};

int first_free_port() {
    int port = 1024;
    std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> port;
    return port;
}

ListenerOptions options_for(const ListenSection& section,
                            const std::vector<ServiceSpec>& services) {
    ListenerOptions options;
    options.backlog = section.backlog;
    for (const ServiceSpec& service : services)
        if (service.name == section.service)
            options.client_speaks_first = service.client_speaks_first;
    return options;
}

/// Whether the kernel counts both as one address. Source: ip(7), INADDR_ANY.
bool overlap(const Address& one, const Address& other) {
    if (one.is_unix() || one.family() != other.family() || one.port() != other.port()) return false;
    return one == other || one.is_wildcard() || other.is_wildcard();
}

std::string path_of(const Address& address) {
    return address.text.substr(address.text.find(':') + 1);
}

std::optional<uid_t> owner_of_socket(const Address& address) {
    struct stat found {};
    const bool is_there = address.is_unix() && ::lstat(path_of(address).c_str(), &found) == 0;
    if (!is_there || !S_ISSOCK(found.st_mode)) return std::nullopt;
    return found.st_uid;
}

/// What is wrong, and what to do about it.
std::pair<std::string, std::string> explain(const Address& address, const error_code& error) {
    switch (error.value()) {
        case EADDRINUSE:
            return {"in use by " + find_holder(address).text, "stop it, or choose another address"};
        case EEXIST:
            return {"there is something else than a socket at this path",
                    "remove it, or choose another path"};
        case EPERM:
            if (const auto owner = owner_of_socket(address))
                return {
                    fmt::format("a socket of uid {}, on which nobody answers, is there", *owner),
                    "remove it, or choose another path"};
            [[fallthrough]];
        case EACCES:
            if (address.is_unix() || address.port() >= first_free_port())
                return {error.message(), "start as root, or choose an address that you may use"};
            return {error.message(),
                    fmt::format("ports below {} need root or CAP_NET_BIND_SERVICE: start as root, "
                                "or choose a port from {} up",
                                first_free_port(), first_free_port())};
        case EADDRNOTAVAIL:
            return {"no interface of this machine has this address",
                    "see `ip address`, or listen on * for all of them"};
        case EAFNOSUPPORT:
            return {"IPv6 is switched off in this kernel", "remove the address"};
        case ENOPROTOOPT:
        case ENOMEM:
            return {error.message(),
                    "if this kernel can't steer clients (SO_ATTACH_REUSEPORT_CBPF), "
                    "set accept = shared"};
        case EMFILE:
            return {error.message(), "raise the limit (ulimit -n, LimitNOFILE=)"};
        default:
            return {error.message(), ""};
    }
}

/// Until one of `processes` ends or a moment has passed: a worker closes its listeners before it
/// ends, and nothing tells of that.
void wait_a_moment(const std::vector<Pid>& processes) {
    std::vector<UniqueFd> pidfds;
    std::vector<pollfd> waited;
    for (const Pid pid : processes)
        if (auto pidfd = open_pidfd(pid)) {
            waited.push_back({pidfd->get(), POLLIN, 0});
            pidfds.push_back(std::move(*pidfd));
        }
    (void)::poll(waited.data(), waited.size(), static_cast<int>(orphan_retry.count()));
}

Result<Listener> open_when_orphans_leave(const Address& address, const ListenerOptions& options,
                                         std::string_view program, std::optional<uid_t> workers) {
    if (program.empty()) return Listener::open(address, options, workers);
    const TimePoint deadline = Clock::now() + orphan_patience;
    for (bool is_last = false;;) {
        auto listener = Listener::open(address, options, workers);
        if (listener || listener.error() != boost::system::errc::address_in_use) return listener;
        if (is_last || Clock::now() >= deadline) return listener;
        const auto orphans = orphans_among(find_holder(address), program);
        // An orphan may leave while we look for it. What holds the address after a look that found
        // none, and a moment more, is somebody else.
        is_last = orphans.empty();
        wait_a_moment(orphans);
    }
}

}  // namespace

/// Collects the sockets of one configuration, and what can't be had.
class ListenerSet::Opening {
  public:
    /// `running`: keep its sockets. `program`: wait for its orphans; empty: for nobody. `workers`:
    /// remove their dead sockets as well.
    Opening(const ListenerSet* running, std::string_view program, std::optional<uid_t> workers)
        : running_(running), program_(program), workers_(workers) {
        if (running != nullptr) set_.known_ = running->known_;
        std::erase_if(*set_.known_, [](const auto& group) { return group.expired(); });
    }

    void take_passed(int count) {
        for (int fd = first_passed_fd; fd < first_passed_fd + count; ++fd) {
            auto listener = Listener::adopt(UniqueFd(fd));
            if (listener)
                passed_.push_back(std::make_unique<Listener>(std::move(*listener)));
            else
                set_.notices_.push_back(fmt::format(
                    "descriptor {} that the service manager passed (LISTEN_FDS) is no listening "
                    "stream socket; closed",
                    fd));
        }
    }

    void add_all(const Config& config, const std::vector<ServiceSpec>& services) {
        runtime_folder_ = config.runtime_dir;
        for (const ListenSection& section : config.listeners)
            for (std::size_t index = 0; index < section.addresses.size(); ++index)
                add(config, section, index, options_for(section, services));
    }

    ListenerSet finish() {
        if (!faults_.empty()) throw StartupError(exit_code_, to_string(faults_));
        for (const auto& unused : passed_)
            set_.notices_.push_back(
                fmt::format("the service manager passed a socket for {} (LISTEN_FDS), which no "
                            "listener has as its address; closed",
                            unused->address().text));
        return std::move(set_);
    }

  private:
    void add(const Config& config, const ListenSection& section, std::size_t index,
             const ListenerOptions& options) {
        const Address& address = section.addresses[index];
        std::shared_ptr<ListenerGroup> group = take_running(section.name, address);
        if (!group) group = take_passed(address, options);
        if (!group) group = open_new(section, index, options);
        if (!group) return;
        const bool one_per_slot = config.accept == AcceptMode::slots && group->may_have_several();
        set_.entries_.push_back({section.name, options, one_per_slot, group});
        const std::uint32_t slots = one_per_slot ? workers_of(config, section) : 1;
        for (std::uint32_t slot = 0; slot < slots; ++slot)
            if (const error_code error = group->provide(slot))
                return report_failure(section, index, error);
    }

    /// The group that has that address already. Ports that the kernel chose stay with their
    /// section; several of one section stay in order.
    std::shared_ptr<ListenerGroup> take_running(std::string_view section, const Address& address) {
        if (running_ == nullptr) return nullptr;
        const bool is_chosen = !address.is_unix() && address.port() == 0;
        for (const Entry& entry : running_->entries_)
            if (is_free(entry.group, address) && (entry.section == section || !is_chosen))
                return entry.group;
        if (is_chosen) return nullptr;
        for (const auto& known : *set_.known_)
            if (auto group = known.lock(); group && is_free(group, address)) return group;
        return nullptr;
    }

    /// Has that address, and no other listener of this configuration has it.
    [[nodiscard]] bool is_free(const std::shared_ptr<ListenerGroup>& group,
                               const Address& address) const {
        if (!group->is_open()) return false;
        // By its real address too: two groups at one would be one to the kernel.
        if (group->configured() != address.text && group->address() != address) return false;
        if (group->is_closing() && !group->may_have_several()) return false;
        return std::ranges::none_of(set_.entries_,
                                    [&](const Entry& entry) { return entry.group == group; });
    }

    std::shared_ptr<ListenerGroup> take_passed(const Address& address,
                                               const ListenerOptions& options) {
        const auto found = std::ranges::find_if(
            passed_, [&](const auto& passed) { return passed->address() == address; });
        if (found == passed_.end()) return nullptr;
        Listener listener = std::move(**found);
        passed_.erase(found);
        return keep(std::move(listener), address, options);
    }

    std::shared_ptr<ListenerGroup> open_new(const ListenSection& section, std::size_t index,
                                            ListenerOptions options) {
        const Address& address = section.addresses[index];
        options.beside_our_own = is_covered_by_our_own(address);
        try {
            if (address.is_unix()) {
                const std::string path = path_of(address);
                make_runtime_folder_for(path, runtime_folder_);
                // It is bound by this path, which its clients get to see, and not from the folder
                // that was walked to: on a way that nobody else can change both are the same.
                (void)require_safe_way_to(path, "socket");
            }
        } catch (const StartupError& error) {
            report(section, index, error.what(), "");
            return nullptr;
        }
        auto listener = open_when_orphans_leave(address, options, program_, workers_);
        if (listener) return keep(std::move(*listener), address, options);
        report_failure(section, index, listener.error());
        return nullptr;
    }

    std::shared_ptr<ListenerGroup> keep(Listener listener, const Address& address,
                                        const ListenerOptions& options) {
        auto group = std::make_shared<ListenerGroup>(std::move(listener), address.text, options);
        set_.known_->push_back(group);
        return group;
    }

    /// From 127.0.0.1:80 to *:80 by a reload: our own socket is no reason to refuse.
    [[nodiscard]] bool is_covered_by_our_own(const Address& address) const {
        return std::ranges::any_of(*set_.known_, [&](const auto& known) {
            const auto group = known.lock();
            return group && group->is_open() && overlap(group->address(), address);
        });
    }

    void report_failure(const ListenSection& section, std::size_t index, const error_code& error) {
        if (error == boost::system::errc::permission_denied) exit_code_ = exit_no_privilege;
        const auto [what, hint] = explain(section.addresses[index], error);
        report(section, index, what, hint);
    }

    void report(const ListenSection& section, std::size_t index, std::string_view what,
                std::string hint) {
        Fault fault;
        const auto& origins = section.origins.of_address;
        if (index < origins.size()) fault.origin = origins[index];
        fault.section = "listen." + section.name;
        fault.what = fmt::format("can't listen on {}: {}", section.addresses[index].text, what);
        fault.hint = std::move(hint);
        faults_.push_back(std::move(fault));
    }

    const ListenerSet* running_;
    std::string_view program_;
    std::optional<uid_t> workers_;
    std::filesystem::path runtime_folder_;
    std::vector<std::unique_ptr<Listener>> passed_;
    ListenerSet set_;
    Faults faults_;
    int exit_code_ = exit_failure;
};

ListenerSet ListenerSet::open(const Config& config, const std::vector<ServiceSpec>& services,
                              int passed, std::string_view program, std::optional<uid_t> workers) {
    Opening opening(nullptr, program, workers);
    opening.take_passed(passed);
    opening.add_all(config, services);
    return opening.finish();
}

ListenerSet ListenerSet::rebind(const Config& config, const std::vector<ServiceSpec>& services,
                                std::optional<uid_t> workers) const {
    Opening opening(this, {}, workers);
    opening.add_all(config, services);
    return opening.finish();
}

void ListenerSet::take_into_service() const noexcept {
    for (const Entry& entry : entries_) entry.group->apply(entry.options);
}

ListenerSet::Groups ListenerSet::groups() const {
    Groups groups;
    for (const Entry& entry : entries_) groups.push_back(entry.group);
    return groups;
}

SavedListeners ListenerSet::save() const {
    SavedListeners saved;
    for (const Entry& entry : entries_) {
        const auto group = static_cast<std::uint32_t>(saved.groups.size());
        saved.groups.push_back(entry.group->save());
        saved.entries.push_back({entry.section, entry.options, entry.one_per_slot, group});
    }
    return saved;
}

ListenerSet ListenerSet::restore(const SavedListeners& saved) {
    ListenerSet set;
    for (const SavedListeners::Entry& one : saved.entries) {
        auto group = std::make_shared<ListenerGroup>(saved.groups[one.group]);
        set.known_->push_back(group);
        set.entries_.push_back({one.section, one.options, one.one_per_slot, std::move(group)});
    }
    return set;
}

std::vector<Place> ListenerSet::places_of(std::string_view section, std::uint32_t slot) const {
    std::vector<Place> places;
    for (const Entry& entry : entries_)
        if (entry.section == section) places.push_back({entry.group, entry.member_of(slot)});
    return places;
}

error_code ListenerSet::provide(std::string_view section, std::uint32_t slot) const {
    for (const Entry& entry : entries_)
        if (entry.section == section && entry.group->is_open())
            if (const error_code error = entry.group->provide(entry.member_of(slot))) return error;
    return {};
}

std::vector<std::pair<std::string, std::string>> ListenerSet::addresses() const {
    std::vector<std::pair<std::string, std::string>> addresses;
    for (const Entry& entry : entries_)
        addresses.emplace_back(entry.section, entry.group->address().text);
    return addresses;
}

}  // namespace preforkd::master
