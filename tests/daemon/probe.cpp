#include "probe.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <stdexcept>

#include "gate.hpp"
#include "shared/channel.hpp"
#include "shared/log.hpp"
#include "shared/log_level.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::testing {
namespace {

/// "die 11" is {"die", "11"}.
struct Order {
    explicit Order(const std::string& line)
        : word(line.substr(0, line.find(' '))),
          rest(word.size() < line.size() ? line.substr(word.size() + 1) : "") {}
    std::string word, rest;
};

[[noreturn]] void die(int signal) {
    (void)::signal(signal, SIG_DFL);
    ::raise(signal);
    ::_exit(99);
}

[[noreturn]] void spin() {
    for (volatile unsigned turns = 0;;) turns = turns + 1;
}

void misbehave() {
    (void)::send(channel_fd, "?", 1, MSG_NOSIGNAL);
}

std::string death_signal_of_parent() {
    int signal = 0;
    return ::prctl(PR_GET_PDEATHSIG, &signal) == 0 ? std::to_string(signal) : "?";
}

std::string core_limit() {
    rlimit limit{};
    return ::getrlimit(RLIMIT_CORE, &limit) == 0
               ? std::to_string(limit.rlim_cur) + " " + std::to_string(limit.rlim_max)
               : "?";
}

std::string terminal() {
    const UniqueFd tty(::open("/dev/tty", O_RDWR | O_CLOEXEC));
    return tty.is_open() ? "has one" : std::strerror(errno);
}

std::string environment() {
    std::string list;
    for (char** variable = environ; *variable != nullptr; ++variable)
        list += std::string(*variable) + "|";
    return list;
}

const std::map<std::string, std::function<std::string()>>& questions() {
    static const std::map<std::string, std::function<std::string()>> all{
        {"pid", [] { return std::to_string(::getpid()); }},
        {"dumpable", [] { return std::to_string(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)); }},
        {"death_signal", death_signal_of_parent},
        {"core_limit", core_limit},
        {"terminal", terminal},
        {"environment", environment},
    };
    return all;
}

}  // namespace

std::vector<KeySpec> Probe::keys() {
    return {Key<std::string>{.name = "gate",
                             .field = &Options::gate,
                             .doc = "Where to wait while starting for the test's word."}};
}

void Probe::start(ServiceContext& context) {
    context_ = &context;
    const std::string& gate = context.options<Options>().gate;
    if (gate.empty()) return;
    const Order order(wait_at_gate(gate));
    if (order.word == "fail") throw std::runtime_error(order.rest);
    if (order.word == "exit") ::_exit(std::stoi(order.rest));
    if (order.word == "die") die(std::stoi(order.rest));
    if (order.word == "misbehave") {
        misbehave();
        for (;;) ::pause();
    }
}

task<void> Probe::serve(Connection& client) {
    while (const auto line = co_await client.read_line()) {
        const Order order(*line);
        std::string answer = "ok";
        if (const auto question = questions().find(order.word); question != questions().end())
            answer = question->second();
        else if (order.word == "print")
            (void)write_all(STDOUT_FILENO, order.rest + "\n");
        else if (order.word == "log")
            context_->log(LogLevel::info, order.rest);
        else if (order.word == "exit")
            ::_exit(std::stoi(order.rest));
        else if (order.word == "die")
            die(std::stoi(order.rest));
        else if (order.word == "misbehave")
            misbehave();
        else if (order.word == "count")
            client.count_request();
        else if (order.word == "spin")
            spin();
        else
            answer = *line;
        answer += '\n';
        if (!co_await client.write(answer)) co_return;
    }
}

}  // namespace preforkd::testing
