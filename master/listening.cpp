#include "master/listening.hpp"

#include <algorithm>

#include "master/handshakes.hpp"
#include "shared/channel.hpp"

namespace preforkd::master {
namespace {

bool holds_slot(WorkerState state) noexcept {
    return state <= WorkerState::retiring;
}

bool is_ready(WorkerState state) noexcept {
    return state == WorkerState::serving || state == WorkerState::retiring;
}

std::string_view to_string(ListenerGroup::Closing closing) noexcept {
    switch (closing) {
        case ListenerGroup::Closing::by_filter:
            return "new clients wait for a successor";
        case ListenerGroup::Closing::by_sink:
            return "new clients wait for a successor (by a full queue: no CAP_NET_ADMIN)";
        case ListenerGroup::Closing::by_path:
            return "its path is removed";
        case ListenerGroup::Closing::not_at_all:
            return "the socket is left to whoever passed it, or can't be closed softly";
    }
    return "?";
}

/// Stands for handshakes when the kernel can't tell: it never goes away.
constexpr std::uint64_t unknown_handshake = ~std::uint64_t{0};

bool holds(const WorkerProcess& worker,
           const std::pair<std::shared_ptr<ListenerGroup>, Member>& key) {
    return std::ranges::any_of(worker.places, [&](const HeldPlace& held) {
        return held.accepting && held.place == Place{key.first, key.second};
    });
}

std::vector<std::uint64_t> handshakes_at(const ListenerGroup& group) {
    if (!group.may_have_several()) return {};
    const auto pending = pending_handshakes(group.address());
    return pending ? *pending : std::vector{unknown_handshake};
}

}  // namespace

void Listening::update(const Supervisor::Workers& table,
                       const std::map<Generation, Deployment>& deployments,
                       const PoolNames& pools) {
    const Wanted wanted = wanted_by(table, deployments, pools);
    for (const auto& [group, standings] : wanted)
        if (std::ranges::count(groups_, group) == 0) groups_.push_back(group);
    const milliseconds patience =
        deployments.empty() ? Departure::limit : deployments.begin()->second.config.drain_timeout;
    const Standings none;
    for (const auto& group : groups_) {
        const auto found = wanted.find(group);
        update_group(group, found == wanted.end() ? none : found->second, patience);
    }
    release_successors(wanted);
    close_settled();
    std::erase_if(groups_,
                  [&](const auto& group) { return !group->is_open() && !wanted.contains(group); });
    report_offenders();
}

Listening::Wanted Listening::wanted_by(const Supervisor::Workers& table,
                                       const std::map<Generation, Deployment>& deployments,
                                       const PoolNames& pools) const {
    Wanted wanted;
    for (const Worker& worker : table) {
        const auto deployment = deployments.find(worker.generation);
        if (!holds_slot(worker.state) || deployment == deployments.end()) continue;
        const Standing standing =
            is_ready(worker.state) ? health_.standing_of(worker.pid) : Standing::unmet;
        for (const Place& place :
             places_of(deployment->second, pools.name_of(worker.slot.pool), worker.slot.index)) {
            const auto [found, is_new] = wanted[place.group].emplace(place.member, standing);
            if (!is_new) found->second = std::min(found->second, standing);
        }
    }
    return wanted;
}

void Listening::update_group(const std::shared_ptr<ListenerGroup>& group, const Standings& wanted,
                             milliseconds patience) {
    if (wanted.empty() && group->is_open() && !group->is_closing()) close_softly(*group);
    if (!wanted.empty() && group->is_closing()) {
        group->take_back();
        log_.info("listener taken back", {{"address", group->address().text}});
    }
    if (const error_code error = group->steer(targets_of(wanted));
        error && !std::exchange(steering_failed_, true))
        log_.error("can't steer clients; they may wait for a worker that is busy or gone",
                   {{"address", group->address().text}, {"why", error.message()}});
    for (const Member member : group->members()) {
        const Key key{group, member};
        const bool departs = leavers_.contains(key);
        if (wanted.contains(member) == !departs) continue;
        group->set_leaving(member, !departs);
        if (departs)
            leavers_.erase(key);
        else
            leavers_.emplace(key, Leaver{Departure(Clock::now(), patience)});
        // Whoever passed it keeps it, and who waits there now waits for the next who is passed it.
        if (!departs && group->is_adopted()) leavers_.at(key).settled = true;
    }
}

void Listening::close_softly(ListenerGroup& group) {
    const auto closing = group.close_softly();
    log_.info("listener closing", {{"address", group.address().text}, {"how", to_string(closing)}});
}

/// Draining workers that still accept from a socket which was taken back can leave it to the
/// slot's new worker.
void Listening::release_successors(const Wanted& wanted) {
    for (auto& [pid, worker] : workers_)
        for (std::uint32_t i = 0; i < worker.places.size(); ++i) {
            const HeldPlace& held = worker.places[i];
            if (!held.kept) continue;
            const auto group = wanted.find(held.place.group);
            if (group == wanted.end()) continue;
            const auto standing = group->second.find(held.place.member);
            if (standing != group->second.end() && standing->second == Standing::served)
                stop(worker, i);
        }
}

error_code Listening::drain(WorkerProcess& worker) {
    Message message;
    for (std::uint32_t i = 0; i < worker.places.size(); ++i) {
        HeldPlace& held = worker.places[i];
        const auto leaver = leavers_.find({held.place.group, held.place.member});
        held.kept = leaver != leavers_.end() && !leaver->second.settled;
        if (!held.kept) continue;
        message.kind = MessageKind::keep_listening;
        message.section = i;
        if (const error_code error = send_message(worker.process.channel, message)) return error;
    }
    message.kind = MessageKind::drain;
    message.section = 0;
    return send_message(worker.process.channel, message);
}

void Listening::stop(WorkerProcess& worker, std::uint32_t place) {
    worker.places[place].kept = false;
    Message message;
    message.kind = MessageKind::stop_listening;
    message.section = place;
    const error_code error = send_message(worker.process.channel, message);
    // EPIPE: it has died, and SIGCHLD will tell.
    if (error && error.value() != EPIPE) offenders_.push_back(worker.process.pid);
}

/// Whoever hears of them may call us again.
void Listening::report_offenders() {
    for (const Pid pid : std::exchange(offenders_, {})) on_misbehaviour(pid);
}

std::vector<Pid> Listening::mend() {
    std::vector<Pid> holders;
    for (const auto& group : groups_) {
        if (group->is_closing()) continue;
        for (const Member member : group->members()) {
            const Key key{group, member};
            if (group->listens(member) || leavers_.contains(key)) continue;
            if (const error_code error = group->renew(member)) {
                tell_deaf(key, error);
                continue;
            }
            deaf_.erase(key);
            log_.error(
                "a listening socket had been shut down by somebody who has it too: a worker that "
                "was taken over, or whom it passed it to; it is bound anew",
                {{"address", group->address().text}, {"slot", member}});
            for (const auto& [pid, worker] : workers_)
                if (holds(worker, key)) holders.push_back(pid);
        }
    }
    return holders;
}

void Listening::tell_deaf(const Key& key, const error_code& error) {
    if (!deaf_.insert(key).second) return;
    const auto& [group, member] = key;
    log_.error(
        group->is_adopted()
            ? "a listening socket was shut down by somebody who has it too, so that nobody can "
              "connect; it is the service manager's: restart its socket unit and then this server"
            : "a listening socket was shut down by somebody who has it too, and can't be bound "
              "anew, so that nobody can connect; remove the cause, then reload",
        {{"address", group->address().text}, {"slot", member}, {"why", error.message()}});
}

bool Listening::is_deaf(const WorkerProcess& worker) const {
    return std::ranges::any_of(deaf_, [&](const Key& key) { return holds(worker, key); });
}

void Listening::on_stopped(WorkerProcess& worker, std::uint32_t place) {
    worker.places.at(place).accepting = false;
    close_settled();
}

bool Listening::serves_only(Generation generation) const {
    for (const auto& [pid, worker] : workers_)
        for (const HeldPlace& held : worker.places)
            if (worker.generation < generation && held.accepting && !held.kept) return false;
    return true;
}

bool Listening::is_calm() const {
    return leavers_.empty() &&
           std::ranges::none_of(groups_, [](const auto& group) { return group->is_closing(); });
}

void Listening::on_exited(Pid pid) {
    health_.forget(pid);
    close_settled();
}

std::optional<TimePoint> Listening::next_look() const {
    std::optional<TimePoint> next;
    for (const auto& [key, leaver] : leavers_)
        if (!leaver.settled && (!next || leaver.departure.next_look() < *next))
            next = leaver.departure.next_look();
    return next;
}

void Listening::look() {
    const TimePoint now = Clock::now();
    std::map<const ListenerGroup*, std::vector<std::uint64_t>> handshakes;
    for (auto& [key, leaver] : leavers_) {
        if (leaver.settled || leaver.departure.next_look() > now) continue;
        const auto& [group, member] = key;
        const auto [found, is_new] = handshakes.try_emplace(group.get());
        if (is_new) found->second = handshakes_at(*group);
        // In this order: a handshake that ends in between is in the queue by then.
        if (leaver.departure.looked(now, group->has_queue(member), found->second))
            settle(key, leaver);
    }
    close_settled();
    report_offenders();
}

void Listening::settle(const Key& key, Leaver& leaver) {
    leaver.settled = true;
    if (leaver.departure.gave_up() && key.first->has_queue(key.second))
        log_.warning("a listening socket closes with clients waiting, for nobody serves them",
                     {{"address", key.first->address().text}});
    for (auto& [pid, worker] : workers_)
        for (std::uint32_t i = 0; i < worker.places.size(); ++i)
            if (const HeldPlace& held = worker.places[i];
                held.kept && held.place == Place{key.first, key.second})
                stop(worker, i);
}

void Listening::close_settled() {
    std::vector<Key> ready;
    for (const auto& [key, leaver] : leavers_)
        if (leaver.settled && !is_held(key)) ready.push_back(key);
    for (const Key& key : ready) close(key);
}

void Listening::close(const Key& key) {
    const auto& [group, member] = key;
    leavers_.erase(key);
    deaf_.erase(key);
    if (!group->remove(member))
        for (auto& [other, leaver] : leavers_)
            if (other.first == group && !leaver.settled) leaver.departure.look_again(Clock::now());
    log_.debug("listening socket closed", {{"address", group->address().text}, {"slot", member}});
    if (!group->is_open()) log_.info("listener closed", {{"address", group->address().text}});
}

/// Whether a worker may accept from it.
bool Listening::is_held(const Key& key) const {
    return std::any_of(workers_.begin(), workers_.end(),
                       [&](const auto& entry) { return holds(entry.second, key); });
}

}  // namespace preforkd::master
