#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_MODULE daemon
#include <unistd.h>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <preforkd/run.hpp>
#include <sstream>
#include <vector>

#include "probe.hpp"
#include "variant.hpp"
#include "worker/services/board.hpp"
#include "worker/services/http.hpp"
#include "worker/worker.hpp"

namespace {

/// A worker's environment is cleaned, so what a test wants to be in it comes in a variable that is
/// handed on, as NAME=VALUE;NAME=VALUE, and takes effect with one exec more.
void take_environment(char** argv) {
    using preforkd::testing::worker_environment;
    const char* const given = std::getenv(worker_environment);
    if (given == nullptr) return;
    std::istringstream variables(given);
    ::unsetenv(worker_environment);
    for (std::string name, value; std::getline(variables, name, '=');) {
        std::getline(variables, value, ';');
        ::setenv(name.c_str(), value.c_str(), 1);
    }
    ::execv("/proc/self/exe", argv);
    ::_exit(97);
}

void take_wrapper(char** argv) {
    using preforkd::testing::worker_wrapper;
    const char* const path = std::getenv(worker_wrapper);
    if (path == nullptr) return;
    std::ifstream file(path);
    ::unsetenv(worker_wrapper);
    std::vector<std::string> words;
    for (std::string word; std::getline(file, word);) words.push_back(word);
    if (words.empty()) return;
    // Its title is lost, for a wrapper knows only paths.
    words.push_back(std::filesystem::read_symlink("/proc/self/exe"));
    std::vector<char*> wrapped;
    for (std::string& word : words) wrapped.push_back(word.data());
    wrapped.push_back(argv[1]);
    wrapped.push_back(nullptr);
    ::execv(wrapped[0], wrapped.data());
    ::_exit(97);
}

}  // namespace

int main(int argc, char** argv) {
    using namespace preforkd;
    if (const auto variant = testing::own_variant())
        return testing::run_variant(argc, argv, *variant);
    if (worker::is_worker(argc, argv)) {
        take_environment(argv);
        take_wrapper(argv);
    }
    const bool is_server = std::filesystem::path(argv[0]).filename() == testing::probe_program;
    if (is_server || worker::is_worker(argc, argv))
        return run(argc, argv,
                   {service<testing::Probe>("probe"), service<testing::FileProbe>("file-probe"),
                    service<testing::ConnectingProbe>("connecting-probe"),
                    service<testing::WritingProbe>("writing-probe"),
                    service<testing::ThreadProbe>("thread-probe"),
                    service<testing::BoardProbe>("board-probe"), service<worker::Http>("http"),
                    service<worker::Board>("board")});
    return boost::unit_test::unit_test_main(&init_unit_test, argc, argv);
}
