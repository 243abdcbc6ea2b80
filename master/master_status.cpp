#include <fmt/format.h>

#include <algorithm>

#include "master/master.hpp"

// What others may know: the scoreboard, STATUS= and READY=, and what became of a change.

namespace preforkd::master {
namespace {

std::uint64_t monotonic_microseconds() {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
            .count());
}

ServerState server_state(Phase phase) {
    switch (phase) {
        case Phase::created:
        case Phase::starting:
            return ServerState::starting;
        case Phase::running:
            return ServerState::serving;
        case Phase::loading:
        case Phase::reloading:
            return ServerState::reloading;
        case Phase::proving:
        case Phase::executing:
            return ServerState::upgrading;
        case Phase::leaving:
        case Phase::stopping:
        case Phase::exited:
            break;
    }
    return ServerState::stopping;
}

}  // namespace

void Master::publish_scoreboard() {
    scoreboard_.publish(server_state(supervisor_.phase()), supervisor_.generation(),
                        supervisor_.workers());
}

void Master::publish_verdict(Verdict::Kind kind, bool accepted, std::string_view text) {
    if (kind != Verdict::Kind::start) verdict_ = text;
    Verdict verdict;
    verdict.kind = kind;
    verdict.accepted = accepted ? 1 : 0;
    verdict.generation = supervisor_.generation().value;
    verdict.orders = orders_taken_;
    verdict.text = text;
    scoreboard_.record(verdict);
    publish_scoreboard();  // at once: nothing else need happen for a long time
}

void Master::conclude(Verdict::Kind kind, bool accepted, std::string_view event,
                      Logger::Fields fields, std::string_view verdict) {
    publish_verdict(kind, accepted, verdict);
    log_.log(accepted ? LogLevel::notice : LogLevel::error, event, fields);
}

// Whoever has heard the verdict gets no answer of the old generation on a new connection.
void Master::announce_when_alone() {
    if (!verdict_due_) return;
    if (listening_.serves_only(supervisor_.generation()) || *verdict_due_ <= Clock::now())
        announce_reload();
}

void Master::announce_reload() {
    if (!std::exchange(verdict_due_, std::nullopt)) return;
    const Generation generation = deployments_.rbegin()->first;
    if (const auto from = std::exchange(upgraded_from_, std::nullopt))
        conclude(Verdict::Kind::upgrade, true, "upgrade ok",
                 {{"from", *from}, {"to", parts_.version}, {"generation", generation.value}},
                 fmt::format("upgrade ok: {} to {}", *from, parts_.version));
    else
        conclude(Verdict::Kind::reload, true, "reload ok", {{"generation", generation.value}},
                 "reload ok");
    announce_ready(generation);
}

// The time must lie after the signal's: systemd.service(5), Type=notify-reload.
void Master::announce_reloading() {
    parts_.notifier.send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", monotonic_microseconds()));
}

/// Last of all, so that whoever was told finds everything in the log.
void Master::announce_ready(Generation generation) {
    parts_.notifier.send(
        fmt::format("READY=1\nX_PREFORKD_GENERATION={}\n{}", generation.value, listen_fields()));
}

void Master::publish_status() {
    const std::string status = status_line();
    if (status == published_status_ || !parts_.notifier.is_connected()) return;
    published_status_ = status;
    parts_.notifier.send("STATUS=" + status);
}

std::string Master::status_line() const {
    const auto& workers = supervisor_.workers();
    const auto count = [&](auto... states) {
        return std::count_if(workers.begin(), workers.end(), [&](const Worker& worker) {
            return ((worker.state == states) || ...);
        });
    };
    std::string line = fmt::format("{}: generation {}, {} serving", to_string(supervisor_.phase()),
                                   supervisor_.generation().value,
                                   count(WorkerState::serving, WorkerState::retiring));
    if (const auto starting = count(WorkerState::starting, WorkerState::spawning); starting > 0)
        line += fmt::format(", {} starting", starting);
    if (const auto resting = count(WorkerState::resting); resting > 0)
        line += fmt::format(", {} waiting to be started again", resting);
    if (const auto draining = count(WorkerState::draining); draining > 0)
        line += fmt::format(", {} draining", draining);
    if (!verdict_.empty()) line += "; " + verdict_;
    return line;
}

std::string Master::listen_fields() const {
    std::string fields;
    for (const auto& [name, address] : deployments_.rbegin()->second.listeners.addresses())
        fields += fmt::format("X_PREFORKD_LISTEN={} {}\n", name, address);
    return fields;
}

}  // namespace preforkd::master
