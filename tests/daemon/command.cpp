#include "command.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdio>

#include "deadline.hpp"
#include "program.hpp"
#include "unit/process_support.hpp"

namespace preforkd::testing {
namespace {

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

// Above all that before_exec may close or use.
constexpr int program_fd = 200;

std::string tested_program = PREFORKD_PROGRAM;

[[noreturn]] void become(const Command& command, int printed) {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (::dup2(null, 0) < 0 || ::dup2(printed, 1) < 0 || ::dup2(printed, 2) < 0) ::_exit(97);
    // By descriptor, for before_exec may take the right to reach it.
    const int program = ::open(command.program.c_str(), O_RDONLY | O_CLOEXEC);
    if (::dup3(program, program_fd, O_CLOEXEC) < 0) ::_exit(97);
    if (command.before_exec) command.before_exec();
    std::vector<std::string> environment = command.environment;
    for (std::string& variable : environment)
        if (const auto at = variable.find(own_pid); at != std::string::npos)
            variable.replace(at, std::string(own_pid).size(), std::to_string(::getpid()));
    ::syscall(SYS_execveat, program_fd, "", pointers_to(command.arguments).data(),
              pointers_to(environment).data(), AT_EMPTY_PATH);
    ::_exit(98);
}

}  // namespace

std::string built_program() {
    return tested_program;
}

TestedProgram::TestedProgram(const std::string& path) {
    tested_program = path;
}
TestedProgram::~TestedProgram() {
    tested_program = PREFORKD_PROGRAM;
}

Execution execute(const Command& command) {
    Pipe printed;
    std::fflush(nullptr);  // else the child could print it a second time
    const pid_t pid = ::fork();
    BOOST_REQUIRE(pid >= 0);
    if (pid == 0) become(command, printed.writing.get());
    return {Process(pid), std::move(printed.reading)};
}

Outcome finish(Execution execution) {
    Outcome outcome;
    const Deadline deadline;
    char chunk[4096];
    for (;;) {
        BOOST_REQUIRE_MESSAGE(wait_for(execution.printed.get(), POLLIN, deadline),
                              "the program doesn't end; so far: " << outcome.printed);
        const ssize_t size = ::read(execution.printed.get(), chunk, sizeof chunk);
        if (size <= 0) break;
        outcome.printed.append(chunk, static_cast<std::size_t>(size));
    }
    outcome.exit = execution.process.reap();
    return outcome;
}

Outcome run_preforkd(const std::vector<std::string>& arguments) {
    Command command;
    command.arguments = {"preforkd"};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    command.environment = sanitizer_options();
    return finish(execute(command));
}

Command preforkctl_command(const std::string& lock_file,
                           const std::vector<std::string>& arguments) {
    Command command;
    command.program = PREFORKD_CONTROL;
    command.arguments = {"preforkctl", "-p", lock_file};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    command.environment = sanitizer_options();
    return command;
}

Outcome run_preforkctl(const std::string& lock_file, const std::vector<std::string>& arguments,
                       std::function<void()> before_exec) {
    Command command = preforkctl_command(lock_file, arguments);
    command.before_exec = std::move(before_exec);
    return finish(execute(command));
}

std::vector<std::string> sanitizer_options() {
    std::vector<std::string> options;
    for (const char* const name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"})
        if (const char* const value = std::getenv(name))
            options.push_back(std::string(name) + "=" + value);
    return options;
}

}  // namespace preforkd::testing
