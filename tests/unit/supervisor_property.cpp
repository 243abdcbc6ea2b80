#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "tests/unit/supervisor_driver.hpp"
#include "tests/unit/supervisor_world.hpp"

// A million random events in thousands of random histories, each with a mood of its own: storms of
// HUPs, failing forks, workers that die young, time that leaps. World judges every answer.
// PREFORKD_SEED=N runs the very same histories again.

using namespace preforkd;
using namespace preforkd::master;
using namespace preforkd::master::test;

namespace {

constexpr unsigned long wanted_events = 1'000'000;

/// What a history's random choices lean to: the weight of each kind of step.
enum Step : unsigned {
    answer_order,
    become_ready,
    exit_leaving,
    answer_load,
    answer_upgrade,
    reach_deadline,
    let_time_pass,
    leap,
    die,
    fail,
    misbehave,
    fall_due,
    stand_still,
    go_on,
    hup,
    usr2,
    ttin,
    ttou,
    stray,
    term,
    quit,
    step_kinds
};

class History {
  public:
    explicit History(std::uint64_t seed) : random_(seed) {
        std::vector<double> weights(step_kinds);
        for (double& weight : weights) weight = chance(0.3) ? 0 : exponential_(random_);
        for (const Step step :
             {answer_order, become_ready, exit_leaving, answer_load, answer_upgrade})
            weights[step] = 2 + 4 * exponential_(random_);
        const double harm = chance(0.7) ? 0.03 : 1;
        for (const Step step : {die, fail, misbehave, leap, reach_deadline}) weights[step] *= harm;
        weights[term] *= 0.003;
        weights[quit] *= 0.003;
        mood_ = std::discrete_distribution<unsigned>(weights.begin(), weights.end());
        spawn_failures_ = chance(0.5) ? 0 : 0.3 * exponential_(random_);
    }

    void run() {
        if (chance(0.05)) stray_event();
        world.tell(event::Start{policy()});
        if (chance(0.8)) calm_down();
        const int steps = std::uniform_int_distribution(1, 3000)(random_);
        for (int i = 0; i < steps && !world.exited; ++i) step(static_cast<Step>(mood_(random_)));
        if (!world.stopping && chance(0.7)) {
            calm_down();
            if (!world.is_whole()) throw Broken{"the pools never became whole"};
        }
        end();
    }

    World world;

  private:
    void step(Step kind);
    void worker_step(Step kind);
    void answer_some_order();
    void answer_the_upgrade();
    void make_some_ready();
    void exit_some_leaving();
    void stray_event();
    void calm_down();
    void end();

    bool chance(double probability) { return std::bernoulli_distribution(probability)(random_); }

    std::size_t below(std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
    }

    milliseconds up_to(milliseconds longest) {
        return milliseconds{below(static_cast<std::size_t>(longest.count()) + 1)};
    }

    template <class Predicate>
    std::optional<Pid> some_process(Predicate fits) {
        std::vector<Pid> fitting;
        for (const auto& [pid, process] : world.processes)
            if (fits(process)) fitting.push_back(pid);
        if (fitting.empty()) return std::nullopt;
        return fitting[below(fitting.size())];
    }

    Policy policy() {
        Policy policy;
        const auto first = static_cast<std::uint32_t>(below(3));
        const auto pools = static_cast<std::uint32_t>(1 + below(3));
        for (std::uint32_t i = 0; i < pools; ++i)
            policy.pools.push_back({PoolId{(first + i) % 4}, static_cast<unsigned>(1 + below(3))});
        policy.ready_timeout = 1ms + up_to(20s);
        policy.drain_timeout = 1ms + up_to(60s);
        return policy;
    }

    std::mt19937_64 random_;
    std::exponential_distribution<double> exponential_{1.0};
    std::discrete_distribution<unsigned> mood_;
    double spawn_failures_ = 0;
};

void History::step(Step kind) {
    switch (kind) {
        case answer_order:
            return answer_some_order();
        case become_ready:
            return make_some_ready();
        case exit_leaving:
            return exit_some_leaving();
        case answer_load:
            if (world.load_unanswered)
                world.answer_load(chance(0.8) ? std::optional(policy()) : std::nullopt);
            return;
        case answer_upgrade:
            return answer_the_upgrade();
        case reach_deadline:
            return world.pass_to_deadline();
        case let_time_pass:
            world.now += up_to(300ms);
            return chance(0.5) ? world.tell(event::TimePassed{}) : void();
        case leap:
            world.now += up_to(2min);
            return chance(0.8) ? world.tell(event::TimePassed{}) : void();
        case hup:
            return world.tell(event::HupReceived{});
        case usr2:
            return world.tell(event::Usr2Received{});
        case ttin:  // a crowd finds nothing that a few don't, and takes its time
            return world.processes.size() < 30 ? world.tell(event::TtinReceived{}) : void();
        case ttou:
            return world.tell(event::TtouReceived{});
        case stray:
            return stray_event();
        case term:
            return world.tell(event::TermReceived{});
        case quit:
            return world.tell(event::QuitReceived{});
        default:
            return worker_step(kind);
    }
}

void History::worker_step(Step kind) {
    const auto pid = some_process([](const World::Process&) { return true; });
    if (!pid) return;
    switch (kind) {
        case die:
            return world.tell(WorkerExited{*pid});
        case fail:
            return world.tell(chance(0.5) ? Event{WorkerFailed{*pid}} : WorkerUnreachable{*pid});
        case misbehave:
            return world.tell(chance(0.5) ? Event{WorkerMisbehaved{*pid}} : WorkerReady{*pid});
        case stand_still:
            return world.tell(WorkerStale{*pid});
        case go_on:
            return world.tell(WorkerRecovered{*pid});
        default:
            return world.tell(RecycleDue{*pid});
    }
}

void History::answer_some_order() {
    if (world.orders.empty()) return;
    const World::Order order = world.orders[below(world.orders.size())];
    world.answer(order, !chance(std::min(spawn_failures_, 0.9)));
}

void History::answer_the_upgrade() {
    if (world.executing) return world.answer_execution(chance(0.8));
    if (world.proving) world.tell(chance(0.8) ? Event{ImageProven{}} : Event{ImageRefused{}});
}

void History::make_some_ready() {
    const auto pid = some_process([](const World::Process& process) { return !process.ready; });
    if (pid) world.tell(WorkerReady{*pid});
}

void History::exit_some_leaving() {
    const auto pid = some_process([](const World::Process& process) { return !process.live(); });
    if (pid) world.tell(WorkerExited{*pid});
}

// What nobody asked for and nobody knows.
void History::stray_event() {
    const Pid stranger{static_cast<pid_t>(below(50))};
    const Generation far{1'000'000};
    const std::vector<Event> strays{WorkerReady{stranger},
                                    WorkerFailed{stranger},
                                    WorkerUnreachable{stranger},
                                    WorkerMisbehaved{stranger},
                                    RecycleDue{stranger},
                                    WorkerExited{stranger},
                                    SpawnFailed{slot(0), far},
                                    WorkerStale{stranger},
                                    WorkerRecovered{stranger},
                                    event::TimePassed{},
                                    WorkerSpawned{slot(0), far, stranger}};
    world.tell(strays[below(strays.size())]);
    if (world.started && !world.load_unanswered)
        world.tell(chance(0.5) ? Event{ConfigAccepted{policy()}} : Event{ConfigRefused{}});
    if (!world.proving) world.tell(chance(0.5) ? Event{ImageProven{}} : Event{ImageRefused{}});
    if (!world.executing) world.tell(chance(0.5) ? Event{TookOver{}} : Event{NotExecuted{}});
    if (world.started) world.tell(Start{policy()});
}

// From here on everything goes well, so that the pools must become whole, in bounded time.
void History::calm_down() {
    for (int round = 0; round < 1000 && !world.exited; ++round) {
        while (!world.orders.empty()) world.answer(world.orders.front(), true);
        if (world.load_unanswered) world.answer_load(policy());
        answer_the_upgrade();
        const auto processes = world.processes;
        for (const auto& [pid, process] : processes) {
            const auto still = world.processes.find(pid);
            if (still == world.processes.end()) continue;
            if (!still->second.live())
                world.tell(WorkerExited{pid});
            else if (!still->second.ready)
                world.tell(WorkerReady{pid});
        }
        if (world.is_whole()) return;
        if (world.orders.empty() && !world.load_unanswered) world.pass_to_deadline();
    }
}

void History::end() {
    if (!world.stopping) world.tell(chance(0.8) ? Event{TermReceived{}} : Event{QuitReceived{}});
    for (int round = 0; round < 1000 && !world.exited; ++round) {
        if (chance(0.5)) answer_some_order();
        if (!world.exited && chance(0.1)) world.pass_to_deadline();
        if (!world.exited) exit_some_leaving();
    }
    if (!world.exited) throw Broken{"it never exited"};
    world.tell(chance(0.5) ? Event{TermReceived{}} : Event{HupReceived{}});
}

std::uint64_t chosen_seed() {
    if (const char* given = std::getenv("PREFORKD_SEED")) return std::strtoull(given, nullptr, 10);
    return std::random_device{}();
}

/// Runs it again, for the events that led to what is broken.
std::string retrace(std::uint64_t seed) {
    History history(seed);
    history.world.start_trace();
    try {
        history.run();
    } catch (const Broken&) {
    }
    const auto& lines = history.world.trace();
    std::string tail;
    for (std::size_t i = lines.size() - std::min<std::size_t>(lines.size(), 60); i < lines.size();
         ++i)
        tail += "\n  " + lines[i];
    return tail;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(supervisor_property)

BOOST_AUTO_TEST_CASE(no_random_history_breaks_an_invariant) {
    const std::uint64_t seed = chosen_seed();
    fmt::print("supervisor_property: PREFORKD_SEED={}\n", seed);
    unsigned long events = 0;
    std::uint64_t histories = 0;
    for (; events < wanted_events; ++histories) {
        History history(seed + histories);
        try {
            history.run();
        } catch (const Broken& broken) {
            BOOST_FAIL(fmt::format("PREFORKD_SEED={} history {}: {}; the last events:{}", seed,
                                   histories, broken.what, retrace(seed + histories)));
        }
        events += history.world.events;
    }
    BOOST_TEST(events >= wanted_events);
    fmt::print("supervisor_property: {} events in {} histories\n", events, histories);
}

BOOST_AUTO_TEST_SUITE_END()
