#include "master/steering.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace preforkd::master {
namespace {

// Long enough for a SYN that another processor was just dealing with to be seen.
constexpr milliseconds first_interval{20};
constexpr milliseconds longest_interval{200};

/// Consecutive indexes, and the random number that stands for the first of them.
struct Run {
    std::uint32_t first_index;
    std::uint32_t first_number;
};

std::vector<Run> runs_of(const std::vector<std::uint32_t>& sorted) {
    std::vector<Run> runs;
    for (std::uint32_t number = 0; number < sorted.size(); ++number)
        if (number == 0 || sorted[number] != sorted[number - 1] + 1)
            runs.push_back({sorted[number], number});
    return runs;
}

sock_filter statement(unsigned code, std::uint32_t value) {
    return {static_cast<std::uint16_t>(code), 0, 0, value};
}

}  // namespace

void GroupOrder::joined(Member member) {
    assert(!index_of(member));
    members_.push_back(member);
}

void GroupOrder::left(Member member) {
    const auto found = std::ranges::find(members_, member);
    if (found == members_.end()) return;
    *found = members_.back();
    members_.pop_back();
}

std::optional<std::uint32_t> GroupOrder::index_of(Member member) const {
    const auto found = std::ranges::find(members_, member);
    if (found == members_.end()) return std::nullopt;
    return static_cast<std::uint32_t>(found - members_.begin());
}

std::vector<Member> GroupOrder::unmoved_by(Member leaver,
                                           const std::vector<Member>& members) const {
    std::vector<Member> unmoved;
    for (const Member member : members)
        if (member != leaver && !members_.empty() && member != members_.back())
            unmoved.push_back(member);
    return unmoved;
}

std::vector<sock_filter> steer_to(std::vector<std::uint32_t> indexes) {
    assert(!indexes.empty());
    std::ranges::sort(indexes);
    if (indexes.size() == 1) return {statement(BPF_RET | BPF_K, indexes.front())};
    std::vector<sock_filter> program{
        statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM)),
        statement(BPF_ALU | BPF_MOD | BPF_K, static_cast<std::uint32_t>(indexes.size()))};
    const std::vector<Run> runs = runs_of(indexes);
    for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
        if (std::next(run) != runs.rend())
            program.push_back({BPF_JMP | BPF_JGE | BPF_K, 0, 2, run->first_number});
        program.push_back(
            // NOLINTNEXTLINE(misc-redundant-expression): two names for 0
            statement(BPF_ALU | BPF_ADD | BPF_K, run->first_index - run->first_number));
        program.push_back(statement(BPF_RET | BPF_A, 0));
    }
    return program;
}

std::vector<Member> targets_of(const Standings& standings) {
    Standing best = Standing::unmet;
    for (const auto& [member, standing] : standings) best = std::min(best, standing);
    std::vector<Member> targets;
    for (const auto& [member, standing] : standings)
        if (standing == best) targets.push_back(member);
    return targets;
}

bool Health::is_full(Pid pid) const {
    const auto found = marks_.find(pid);
    return found != marks_.end() && (found->second & full) != 0;
}

Standing Health::standing_of(Pid pid) const {
    const auto found = marks_.find(pid);
    if (found == marks_.end()) return Standing::served;
    return (found->second & hung) != 0 ? Standing::unmet : Standing::full;
}

void Health::set(Pid pid, Mark mark, bool is_set) {
    if (is_set) {
        marks_[pid] = static_cast<std::uint8_t>(marks_[pid] | mark);
        return;
    }
    const auto found = marks_.find(pid);
    if (found == marks_.end()) return;
    found->second = static_cast<std::uint8_t>(found->second & ~mark);
    if (found->second == 0) marks_.erase(found);
}

Departure::Departure(TimePoint now, milliseconds at_most)
    : deadline_(now + std::min(at_most, limit)),
      next_look_(now + first_interval),
      interval_(first_interval) {}

bool Departure::looked(TimePoint now, bool has_queue,
                       const std::vector<std::uint64_t>& handshakes) {
    std::vector<std::uint64_t> left;
    if (awaited_)
        std::ranges::set_intersection(*awaited_, handshakes, std::back_inserter(left));
    else
        left = handshakes;
    awaited_ = std::move(left);
    const bool is_done = !has_queue && awaited_->empty();
    gave_up_ = !is_done && now >= deadline_;
    if (is_done || gave_up_) return true;
    interval_ = std::min(2 * interval_, longest_interval);
    next_look_ = std::min(now + interval_, std::max(deadline_, now));
    return false;
}

void Departure::look_again(TimePoint now) {
    awaited_.reset();
    interval_ = first_interval;
    next_look_ = now + first_interval;
    deadline_ = std::max(deadline_, next_look_);
}

}  // namespace preforkd::master
