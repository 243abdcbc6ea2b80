#define BOOST_TEST_MODULE unit
#include <boost/test/unit_test.hpp>
#include <csignal>

namespace {

/// Whoever starts the tests in the background, as by nohup(1), may ignore what a terminal sends;
/// those that send it then waited for ever. SIGPIPE is ignored in every worker.
struct DefaultSignals {
    DefaultSignals() {
        for (const int signal : {SIGHUP, SIGINT, SIGQUIT}) (void)std::signal(signal, SIG_DFL);
        (void)std::signal(SIGPIPE, SIG_IGN);
    }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(DefaultSignals);
