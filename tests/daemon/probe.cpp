#include "probe.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <map>
#include <stdexcept>
#include <vector>

#include "attacks.hpp"
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

/// So many MiB of memory, and not only of addresses.
void consume(std::size_t mebibytes) {
    std::vector<std::string> taken;
    while (taken.size() < mebibytes) taken.emplace_back(std::size_t{1} << 20, 'x');
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

/// The file's content, or why it can't be read.
std::string content_of(const UniqueFd& folder, const std::string& name) {
    const Result<UniqueFd> file = open_beneath(folder, name.c_str(), O_RDONLY);
    if (!file) return file.error().message();
    char text[256];
    const ssize_t size = ::read(file->get(), text, sizeof text);
    return size < 0 ? std::strerror(errno) : std::string(text, static_cast<std::size_t>(size));
}

/// What can be asked for later. Found out at the start, for a confined worker could not.
std::map<std::string, std::string> find_answers() {
    return {
        {"pid", std::to_string(::getpid())},
        {"dumpable", std::to_string(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))},
        {"death_signal", death_signal_of_parent()},
        {"core_limit", core_limit()},
        {"terminal", terminal()},
        {"environment", environment()},
    };
}

}  // namespace

std::vector<KeySpec> Probe::keys() {
    return {Key<std::string>{.name = "gate",
                             .field = &Options::gate,
                             .doc = "Where to wait while starting for the test's word."},
            Key<std::filesystem::path>{.name = "note",
                                       .field = &Options::note,
                                       .copied = CopiedFile{.limit = {1024}},
                                       .doc = "A file whose content workers tell."}};
}

void Probe::start(ServiceContext& context) {
    context_ = &context;
    answers_ = find_answers();
    note_ = context.copy_of("note").value_or("none");
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
        if (const auto known = answers_.find(order.word); known != answers_.end())
            answer = known->second;
        else if (order.word == "attack")
            answer = run_attack(order.rest);
        else if (order.word == "abuse")
            abuse_channel(order.rest);
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
        else if (order.word == "throw_at_stop")
            last_words_ = order.rest;
        else if (order.word == "note")
            answer = note_;
        else if (order.word == "count")
            client.count_request();
        else if (order.word == "local")
            answer = client.local();
        else if (order.word == "greet")
            std::printf("%s\n", order.rest.c_str());
        else if (order.word == "spin")
            spin();
        else if (order.word == "consume")
            consume(std::stoul(order.rest));
        else if (order.word == "allocate")
            answer.resize(std::size_t{1} << 46);  // more than there are addresses
        else
            answer = *line;
        answer += '\n';
        if (!co_await client.write(answer)) co_return;
    }
}

void Probe::stop() {
    if (!last_words_.empty()) throw std::runtime_error(last_words_);
}

std::vector<KeySpec> FileProbe::keys() {
    return {Key<std::filesystem::path>{.name = "root",
                                       .field = &Options::root,
                                       .opens = Opens::folder,
                                       .required = true,
                                       .doc = "The folder that may be read."},
            Key<std::filesystem::path>{.name = "data",
                                       .field = &Options::data,
                                       .opens = Opens::data_file,
                                       .doc = "A file that may be written."},
            Key<std::filesystem::path>{.name = "board",
                                       .field = &Options::board,
                                       .opens = Opens::data_with_lock,
                                       .doc = "One with a lock beside it."}};
}

void FileProbe::start(ServiceContext& context) {
    root_.reset(::fcntl(context.descriptor("root"), F_DUPFD_CLOEXEC, 0));
    if (!root_.is_open()) throw std::runtime_error(std::strerror(errno));
}

task<void> FileProbe::serve(Connection& client) {
    while (const auto line = co_await client.read_line()) {
        const Order order(*line);
        std::string answer;
        if (order.word == "pid")
            answer = std::to_string(::getpid());
        else if (order.word == "read")
            answer = content_of(root_, order.rest);
        else if (order.word == "open")
            answer = try_to_open(order.rest);
        else if (order.word == "pass_listener")
            (void)pass_over(client_socket(), listening_socket());
        else
            answer = run_attack(order.rest);
        answer += '\n';
        if (!co_await client.write(answer)) co_return;
    }
}

}  // namespace preforkd::testing
