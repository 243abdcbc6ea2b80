#pragma once

#include "shared/snapshot_text.hpp"

namespace preforkd::test {

inline constexpr std::int64_t second = 1'000'000'000;

/// When the server of sample_snapshot() is looked at: an hour after its start.
inline TimePoint sample_moment() {
    return time_point(4600 * second);
}

/// A server with two listeners, one worker that serves and one that drains.
inline Snapshot sample_snapshot() {
    Snapshot snapshot;
    MasterFront& front = snapshot.front;
    front.program = "preforkd";
    front.program_version = "1.2.3";
    front.pid = 4242;
    front.state = ServerState::serving;
    front.generation = 7;
    front.started_at = 1000 * second;
    front.started_time = 1'700'000'000;
    front.ready = 1;
    front.orders = 6;
    front.exits[static_cast<std::size_t>(ExitKind::crashed)] = 1;
    front.exits[static_cast<std::size_t>(ExitKind::finished)] = 14;
    front.last_verdict = 2;
    front.verdicts[1] = {Verdict::Kind::start, 1, 1, 1, 0, 1'700'000'000, {}};
    front.verdicts[2] = {Verdict::Kind::reload, 0, 7, 2, 6, 1'700'003'540, {}};
    front.verdicts[1].text = "started";
    front.verdicts[2].text = "reload refused: a.conf:3: unknown key \"x\"";

    snapshot.listeners.resize(2);
    ListenerEntry& web = snapshot.listeners[0];
    web.in_service = 1;
    web.workers = 2;
    web.name = "web";
    web.service = "http";
    web.pool = "main";
    web.addresses = "0.0.0.0:80 [::]:80";
    web.totals.accepted = 10;
    web.totals.closed = 7;
    web.totals.received = 1000;
    web.totals.sent = 5000;
    web.totals.responses[2] = 99;
    web.totals.responses[5] = 1;
    web.totals.durations[DurationBuckets::index_of(1'000'000)] = 99;
    web.totals.durations[DurationBuckets::index_of(200'000'000)] = 1;
    web.totals.duration_sum = 99 * 1'000'000 + 200'000'000;
    ListenerEntry& board = snapshot.listeners[1];
    board.in_service = 1;
    board.workers = 1;
    board.name = "board";
    board.service = "board";
    board.pool = "board";
    board.addresses = "127.0.0.1:9000";
    board.metrics[0].kind = MetricEntry::Kind::counter;
    board.metrics[0].name = "messages";
    board.metrics[0].doc = "Messages written.";
    board.totals.metrics[0] = 5;

    snapshot.workers.resize(2);
    WorkerView& serving = snapshot.workers[0];
    serving.entry.page = 1;
    serving.entry.pid = 4251;
    serving.entry.state = PageState::serving;
    serving.entry.generation = 7;
    serving.entry.spawned_at = 4540 * second;
    serving.entry.slot = "main/0";
    serving.totals.accepted = 2;
    serving.memory = 9 << 20;
    serving.cpu = 3 * second;
    WorkerView& draining = snapshot.workers[1];
    draining.entry.page = 2;
    draining.entry.pid = 3980;
    draining.entry.state = PageState::draining;
    draining.entry.generation = 6;
    draining.entry.spawned_at = 1000 * second;
    draining.entry.deadline = 4618 * second;
    draining.entry.slot = "main/0";
    draining.totals.accepted = 3;
    return snapshot;
}

}  // namespace preforkd::test
