#include "variant.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <preforkd/run.hpp>
#include <sstream>
#include <vector>

#include "gate.hpp"
#include "master/take_over_call.hpp"
#include "probe.hpp"
#include "shared/syscalls.hpp"

namespace preforkd::testing {
namespace {

constexpr std::string_view variant_mark = "\n-- a variant of the tests' program --\n";
constexpr std::streamoff tail_size = 1024;

[[noreturn]] void hang() {
    for (;;) ::pause();
}

[[noreturn]] void die(int signal) {
    (void)::signal(signal, SIG_DFL);
    ::raise(signal);
    ::_exit(99);
}

void obey(const std::string& order) {
    std::istringstream words(order);
    std::string verb, rest;
    words >> verb >> std::ws;
    std::getline(words, rest);
    if (verb == "hang" && rest.empty()) hang();
    if (verb == "exit") ::_exit(std::stoi(rest));
    if (verb == "die" && !rest.starts_with("later")) die(std::stoi(rest));
    if (verb == "say") {
        (void)write_all(master::proof_answer_fd, rest);
        ::_exit(0);
    }
    if (verb == "gate") (void)wait_at_gate(rest.substr(0, rest.find(' ')));
}

/// Reading the configuration is where a service's own code runs in the master.
void obey_later(const std::string& order, KeySpec& key) {
    if (order == "hang later") key.check = [](auto&&...) -> CheckedText { hang(); };
    if (order.starts_with("die later "))
        key.check = [signal = std::stoi(order.substr(10))](auto&&...) -> CheckedText {
            ::raise(signal);
            return {};
        };
}

}  // namespace

Setup executing(Setup setup, const std::string& path) {
    setup.parent = [path, before = setup.parent] {
        constexpr int program_fd = 200;  // see command.cpp
        if (before) before();
        const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0 || ::dup3(file, program_fd, O_CLOEXEC) < 0) ::_exit(95);
    };
    return setup;
}

Setup UpgradableDaemon::with_keys(const std::string& keys) {
    Setup setup;
    setup.keys = keys;
    setup.sections = listener("echo", "probe");
    setup.probe = true;
    return setup;
}

UpgradableDaemon::UpgradableDaemon(Setup setup) : Daemon(executing(std::move(setup), program)) {
    install({.version = "1.0"});
}

void UpgradableDaemon::install(const Variant& variant) const {
    const std::string unfinished = program + ".new";
    std::filesystem::copy_file("/proc/self/exe", unfinished,
                               std::filesystem::copy_options::overwrite_existing);
    std::ofstream file(unfinished, std::ios::binary | std::ios::app);
    file << variant_mark << variant.version << "\n"
         << variant.when_proving << "\n"
         << variant.when_taking_over << "\n";
    file.close();
    BOOST_REQUIRE(file);
    std::filesystem::permissions(unfinished, std::filesystem::perms(0755));
    std::filesystem::rename(unfinished, program);
}

void UpgradableDaemon::upgrade_to(const std::string& version) {
    install({.version = version});
    send(SIGUSR2);
    wait_for_line({"upgrade ok", "to=" + version});
}

std::optional<Variant> own_variant() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    file.seekg(-tail_size, std::ios::end);
    std::ostringstream tail;
    tail << file.rdbuf();
    const std::string text = tail.str();
    const auto at = text.rfind(variant_mark);
    if (at == std::string::npos) return std::nullopt;
    std::istringstream lines(text.substr(at + variant_mark.size()));
    Variant variant;
    std::getline(lines, variant.version);
    std::getline(lines, variant.when_proving);
    std::getline(lines, variant.when_taking_over);
    return variant;
}

int run_variant(int argc, char** argv, const Variant& variant) {
    const std::string_view word = argc > 1 ? argv[1] : "";
    const bool comes_back = argc > 4;
    const bool takes_over = word == master::take_over_argument && !comes_back;
    std::vector<ServiceType> services{service<Probe>("probe")};
    if (word == master::prove_argument) obey(variant.when_proving);
    if (takes_over) {
        obey(variant.when_taking_over);
        obey_later(variant.when_taking_over, services.front().keys.front());
        if (variant.when_taking_over.ends_with("without services")) services.clear();
    }
    return run(argc, argv, services, variant.version);
}

}  // namespace preforkd::testing
