#define BOOST_TEST_MODULE unit
#include <boost/test/unit_test.hpp>
#include <csignal>

namespace {

/// Whoever starts the tests in the background, as by nohup(1), may ignore what a terminal sends;
/// those that send it then waited for ever.
struct DefaultSignals {
    DefaultSignals() {
        for (const int signal : {SIGHUP, SIGINT, SIGQUIT}) (void)std::signal(signal, SIG_DFL);
    }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(DefaultSignals);
