#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "master/listener_group.hpp"
#include "shared/config.hpp"
#include "shared/service_spec.hpp"

namespace preforkd::master {

/// A listening socket that a worker gets.
struct Place {
    std::shared_ptr<ListenerGroup> group;
    Member member = 0;
    bool operator==(const Place&) const = default;
};

/// A set as the next program takes it over.
struct SavedListeners {
    struct Entry {
        std::string section;
        ListenerOptions options;
        bool one_per_slot = false;
        std::uint32_t group = 0;  ///< index of it
    };
    std::vector<SavedGroup> groups;
    std::vector<Entry> entries;
};

/// The listening sockets of one configuration. Those that two configurations have in common are
/// shared by their sets and close with the last of them: dropping the newer set abandons a reload,
/// dropping the older one completes it.
class ListenerSet {
  public:
    /// Opens every address of `config`, taking those of the `passed` sockets (from descriptor 3 up,
    /// see sd_listen_fds(3)) that fit and closing the rest with a notice. An address that a worker
    /// of `program` holds whose master has died is waited for, at most a second; a dead unix socket
    /// of `workers` or ours is removed.
    /// Throws StartupError with every fault: exit 4 if a privilege is missing, else 1.
    [[nodiscard]] static ListenerSet open(const Config& config,
                                          const std::vector<ServiceSpec>& services, int passed,
                                          std::string_view program,
                                          std::optional<uid_t> workers = {});

    /// The set for another configuration: keeps the sockets of this one whose addresses stay, takes
    /// back those that an earlier one left and that are not closed yet, opens what is new, and
    /// changes nothing in this one. Throws StartupError as open() does.
    [[nodiscard]] ListenerSet rebind(const Config& config, const std::vector<ServiceSpec>& services,
                                     std::optional<uid_t> workers = {}) const;

    /// What restore() goes on with; the sockets stay this set's until the exec.
    [[nodiscard]] SavedListeners save() const;
    [[nodiscard]] static ListenerSet restore(const SavedListeners& saved);

    /// Its groups, in the order in which they are saved.
    using Groups = std::vector<std::shared_ptr<ListenerGroup>>;
    [[nodiscard]] Groups groups() const;

    /// Gives the sockets that were kept the backlog and the deferral of this set's configuration.
    void take_into_service() const noexcept;

    /// What the worker of a slot gets of section [listen.NAME], in the order of its addresses.
    [[nodiscard]] std::vector<Place> places_of(std::string_view section, std::uint32_t slot) const;

    /// Makes the sockets of a slot that is not in the configuration. Errors: as Listener::open().
    [[nodiscard]] error_code provide(std::string_view section, std::uint32_t slot) const;

    /// Section and address of each listener, with the ports that the kernel chose.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> addresses() const;

    /// What a person should know: one sentence each.
    [[nodiscard]] const std::vector<std::string>& notices() const noexcept { return notices_; }

  private:
    struct Entry {
        std::string section;
        ListenerOptions options;
        bool one_per_slot;
        std::shared_ptr<ListenerGroup> group;

        [[nodiscard]] Member member_of(std::uint32_t slot) const noexcept {
            return one_per_slot ? slot : 0;
        }
    };
    /// Every group that exists, whichever set it belongs to.
    using Known = std::vector<std::weak_ptr<ListenerGroup>>;
    class Opening;

    std::vector<Entry> entries_;
    std::shared_ptr<Known> known_ = std::make_shared<Known>();
    std::vector<std::string> notices_;
};

}  // namespace preforkd::master
