#include "master/upgrade_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace preforkd {

template <class Archive>
void describe(Archive& archive, SlotId& slot) {
    archive("pool", slot.pool);
    archive("index", slot.index);
}

template <class Archive>
void describe(Archive& archive, KernelSandbox& kernel) {
    archive("landlock", kernel.landlock);
    archive("seccomp", kernel.seccomp);
    archive("landlock_error", kernel.landlock_error);
    archive("seccomp_error", kernel.seccomp_error);
}

// For a log style alone: nobody else needs its name.
static std::string_view to_string(LogStyle style) noexcept {
    switch (style) {
        case LogStyle::plain:
            return "plain";
        case LogStyle::journal:
            return "journal";
        case LogStyle::syslog:
            return "syslog";
    }
    return "?";
}
static LogStyle last_of(LogStyle) noexcept {
    return LogStyle::syslog;
}
static ExitKind last_of(ExitKind) noexcept {
    return ExitKind::failed_to_start;
}

}  // namespace preforkd

namespace preforkd::master {
namespace {

constexpr std::string_view mark = "preforkd upgrade state\n";

std::uint64_t checksum(std::string_view bytes) noexcept {  // FNV-1a
    std::uint64_t sum = 0xcbf29ce484222325;
    for (const char byte : bytes) sum = (sum ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    return sum;
}

/// What stands before the fields.
struct Head {
    std::uint32_t version = 0;
    std::uint64_t size = 0;
    std::uint64_t sum = 0;
};
constexpr std::size_t head_size = 20;

void append_number(std::string& bytes, std::uint64_t number, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
}

std::uint64_t number_at(std::string_view bytes, std::size_t at, unsigned size) noexcept {
    std::uint64_t number = 0;
    for (unsigned i = 0; i < size; ++i)
        number |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
    return number;
}

}  // namespace

// Outside of the unnamed namespace, where the archive would not find them.

static WorkerState last_of(WorkerState) noexcept {
    return WorkerState::gone;
}

template <class Archive>
void describe(Archive& archive, PoolPolicy& pool) {
    archive("id", pool.id);
    archive("workers", pool.workers);
}

template <class Archive>
void describe(Archive& archive, Policy& policy) {
    archive("pools", policy.pools);
    archive("ready_timeout", policy.ready_timeout);
    archive("drain_timeout", policy.drain_timeout);
    archive("shutdown_delay", policy.shutdown_delay);
    archive("hang_timeout", policy.hang_timeout);
}

template <class Archive>
void describe(Archive& archive, Worker& worker) {
    archive("slot", worker.slot);
    archive("generation", worker.generation);
    archive("state", worker.state);
    archive("pid", worker.pid);
    archive("deadline", worker.deadline);
    archive("failures", worker.failures);
    archive("spawned_at", worker.spawned_at);
    archive("recycle_due", worker.recycle_due);
    archive("stale_since", worker.stale_since);
    archive("aborted", worker.aborted);
}

template <class Archive>
void describe(Archive& archive, Supervisor::Snapshot& snapshot) {
    archive("generation", snapshot.generation);
    archive("policy", snapshot.policy);
    archive("last_raised", snapshot.last_raised);
    archive("reload_wanted", snapshot.reload_wanted);
    archive("upgrade_wanted", snapshot.upgrade_wanted);
    archive("workers", snapshot.workers);
}

template <class Archive>
void describe(Archive& archive, ListenerOptions& options) {
    archive("backlog", options.backlog);
    archive("client_speaks_first", options.client_speaks_first);
    archive("beside_our_own", options.beside_our_own);
}

template <class Archive>
void describe(Archive& archive, SavedSocket& socket) {
    archive("socket", socket.socket);
    archive("address", socket.address);
    archive("device", socket.device);
    archive("inode", socket.inode);
    archive("adopted", socket.adopted);
}

template <class Archive>
void describe(Archive& archive, SavedGroup& group) {
    archive("configured", group.configured);
    archive("options", group.options);
    archive("members", group.members);
    archive("sockets", group.sockets);
    archive("targets", group.targets);
    archive("attached", group.attached);
}

template <class Archive>
void describe(Archive& archive, SavedListeners::Entry& entry) {
    archive("section", entry.section);
    archive("options", entry.options);
    archive("one_per_slot", entry.one_per_slot);
    archive("group", entry.group);
}

template <class Archive>
void describe(Archive& archive, SavedListeners& listeners) {
    archive("groups", listeners.groups);
    archive("entries", listeners.entries);
}

template <class Archive>
void describe(Archive& archive, SavedLogs& logs) {
    archive("error", logs.error);
    archive("error_style", logs.error_style);
    archive("output", logs.output);
    archive("access", logs.access);
}

template <class Archive>
void describe(Archive& archive, SavedPath& path) {
    archive("section", path.section);
    archive("key", path.key);
    archive("descriptor", path.descriptor);
}

template <class Archive>
void describe(Archive& archive, SavedDeployment& deployment) {
    archive("config_text", deployment.config_text);
    archive("listeners", deployment.listeners);
    archive("paths", deployment.paths);
    archive("copies", deployment.copies);
    archive("logs", deployment.logs);
}

template <class Archive>
void describe(Archive& archive, SavedPlace& place) {
    archive("group", place.group);
    archive("member", place.member);
    archive("accepting", place.accepting);
    archive("kept", place.kept);
}

template <class Archive>
void describe(Archive& archive, SavedWorker& worker) {
    archive("pid", worker.pid);
    archive("pidfd", worker.pidfd);
    archive("channel", worker.channel);
    archive("slot", worker.slot);
    archive("generation", worker.generation);
    archive("spawned_at", worker.spawned_at);
    archive("ready", worker.ready);
    archive("places", worker.places);
    archive("full", worker.full);
    archive("page_number", worker.page_number);
    archive("page", worker.page);
    archive("hang_timer", worker.hang_timer);
    archive("reads_scoreboard", worker.reads_scoreboard);
    archive("stopped", worker.stopped);
    archive("silenced", worker.silenced);
    archive("doom", worker.doom);
}

template <class Archive>
void describe(Archive& archive, SavedScoreboard& scoreboard) {
    archive("version", scoreboard.version);
    archive("front", scoreboard.front);
    archive("listeners", scoreboard.listeners);
    archive("workers", scoreboard.workers);
    archive("last_page", scoreboard.last_page);
}

template <class Archive>
void describe(Archive& archive, StartRecord& start) {
    archive("program", start.program);
    archive("image_path", start.image_path);
    archive("arguments", start.arguments);
    archive("working_folder", start.working_folder);
    archive("environment", start.environment);
    archive("foreground", start.foreground);
    archive("oom_score", start.oom_score);
    archive("kernel", start.kernel);
}

template <class Archive>
void describe(Archive& archive, UpgradeState& state) {
    archive("version", state.version);
    archive("master", state.master);
    archive("start", state.start);
    archive("callers_stderr", state.callers_stderr);
    archive("lock_path", state.lock_path);
    archive("lock", state.lock);
    archive("notifier", state.notifier);
    archive("watchdog", state.watchdog);
    archive("pools", state.pools);
    archive("supervisor", state.supervisor);
    archive("deployment", state.deployment);
    archive("workers", state.workers);
    archive("scoreboard", state.scoreboard);
    archive("started_at", state.started_at);
    archive("verdict", state.verdict);
}

namespace {

void require(bool holds, const char* otherwise) {
    if (!holds) throw BadArchive(otherwise);
}

void check_listeners(const SavedListeners& listeners) {
    for (const SavedGroup& group : listeners.groups) {
        require(!group.sockets.empty() && group.sockets.size() == group.members.size(),
                "a listener is lost");
        for (const SavedSocket& socket : group.sockets)
            require(socket.socket.exists(), "a listener is lost");
        const std::set<Member> members(group.members.begin(), group.members.end());
        require(members.size() == group.members.size(), "a slot has two sockets");
        for (const std::uint32_t index : group.attached)
            require(index < group.members.size(), "clients are steered nowhere");
    }
    std::set<std::uint32_t> groups;
    for (const SavedListeners::Entry& entry : listeners.entries)
        require(entry.group < listeners.groups.size() && groups.insert(entry.group).second,
                "a listener has no socket of its own");
}

void check_workers(const UpgradeState& state) {
    const auto is_known = [&](PoolId pool) { return pool.value < state.pools.size(); };
    std::set<Pid> processes;
    for (const SavedWorker& worker : state.workers) {
        require(is_known(worker.slot.pool), "a worker is of no pool");
        require(worker.pid.value > 0, "a worker has no pid");
        require(worker.pidfd.exists() && worker.channel.exists(), "a worker can't be reached");
        require(processes.insert(worker.pid).second, "a worker is there twice");
        for (const SavedPlace& place : worker.places)
            require(!place.group || *place.group < state.deployment.listeners.groups.size(),
                    "a worker has an unknown socket");
    }
    for (const PoolPolicy& pool : state.supervisor.policy.pools)
        require(is_known(pool.id), "a pool has no name");
    for (const Worker& worker : state.supervisor.workers) {
        require(is_known(worker.slot.pool), "a supervised worker is of no pool");
        const bool has_process = worker.pid.value != 0;
        require(has_process || worker.state == WorkerState::resting, "a worker lacks its process");
        require(has_process == (worker.state != WorkerState::resting), "a resting worker lives");
        require(worker.state < WorkerState::unwanted && worker.state != WorkerState::spawning,
                "a spawn is unanswered");
        require(!has_process || processes.erase(worker.pid) == 1, "a process is unknown");
    }
    require(processes.empty(), "a process is not supervised");
}

void check(const UpgradeState& state) {
    require(state.master.value > 0, "the master has no pid");
    require(!state.start.program.empty(), "the program has no name");
    require(state.supervisor.generation.value > 0, "no generation is in service");
    require(state.supervisor.generation <= state.supervisor.last_raised, "generations are lost");
    require(state.lock_path.empty() == !state.lock.exists(), "the lock is lost");
    require(state.deployment.logs.error.exists() && state.deployment.logs.output.exists(),
            "a log is lost");
    check_listeners(state.deployment.listeners);
    for (const SavedPath& path : state.deployment.paths)
        require(path.descriptor.exists(), "a path is lost");
    check_workers(state);
    auto descriptors = state.descriptors();
    std::sort(descriptors.begin(), descriptors.end());
    require(std::adjacent_find(descriptors.begin(), descriptors.end()) == descriptors.end(),
            "a descriptor has two owners");
}

}  // namespace

std::vector<int> UpgradeState::descriptors() const {
    UpgradeState copy = *this;  // both directions of an archive share one description
    return DescriptorCollector::collect(copy);
}

std::string encode(const UpgradeState& state) {
    UpgradeState copy = state;
    const std::string fields = ArchiveWriter::write(copy);
    std::string bytes(mark);
    append_number(bytes, upgrade_state_version, 4);
    append_number(bytes, fields.size(), 8);
    append_number(bytes, checksum(fields), 8);
    return bytes + fields;
}

UpgradeState decode(std::string_view bytes) {
    require(bytes.starts_with(mark) && bytes.size() >= mark.size() + head_size,
            "this is no state of a master");
    const Head head{static_cast<std::uint32_t>(number_at(bytes, mark.size(), 4)),
                    number_at(bytes, mark.size() + 4, 8), number_at(bytes, mark.size() + 12, 8)};
    if (head.version != upgrade_state_version)
        throw BadArchive(
            fmt::format("the new program can't take over from the running one, whose state is of "
                        "version {}, not {}; restart the server for this upgrade",
                        head.version, upgrade_state_version));
    bytes.remove_prefix(mark.size() + head_size);
    require(bytes.size() == head.size && checksum(bytes) == head.sum, "the state is damaged");
    UpgradeState state;
    ArchiveReader::read(bytes, "state", state);
    check(state);
    return state;
}

}  // namespace preforkd::master
