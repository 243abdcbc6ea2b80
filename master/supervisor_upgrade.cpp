#include "master/supervisor.hpp"

// Upgrades, and how what the supervisor knows passes to the next program.

namespace preforkd::master {

Supervisor::Supervisor(Snapshot snapshot)
    : phase_(Phase::executing),
      running_{snapshot.generation, std::move(snapshot.policy)},
      last_raised_(snapshot.last_raised),
      reload_wanted_(snapshot.reload_wanted),
      upgrade_wanted_(snapshot.upgrade_wanted),
      workers_(snapshot.workers.begin(), snapshot.workers.end()) {}

Supervisor::Snapshot Supervisor::snapshot() const {
    return {running_.generation, running_.policy, last_raised_,
            reload_wanted_,      upgrade_wanted_, {workers_.begin(), workers_.end()}};
}

void Supervisor::on(const event::ImageProven&) {
    if (phase_ != Phase::proving) return;
    proof_deadline_.reset();
    phase_ = Phase::executing;
    actions_.emplace_back(action::ExecuteImage{});
}

void Supervisor::on(const event::ImageRefused&) {
    if (phase_ == Phase::proving) abandon_upgrade(Reason::image_refused);
}

void Supervisor::on(const event::TookOver&) {
    if (phase_ == Phase::executing) load();
}

void Supervisor::on(const event::NotExecuted&) {
    if (phase_ == Phase::executing) abandon_upgrade(Reason::not_executed);
}

void Supervisor::prove() {
    upgrade_wanted_ = false;
    phase_ = Phase::proving;
    proof_deadline_ = now_ + proof_timeout;
    actions_.emplace_back(action::ProveImage{});
}

void Supervisor::abandon_upgrade(Reason reason) {
    proof_deadline_.reset();
    phase_ = Phase::running;
    actions_.emplace_back(action::AbandonUpgrade{reason});
}

bool Supervisor::upgrading() const {
    return phase_ == Phase::proving || phase_ == Phase::executing;
}

bool Supervisor::may_resize() const {
    return (phase_ == Phase::running || upgrading()) && !running_.policy.pools.empty();
}

}  // namespace preforkd::master
