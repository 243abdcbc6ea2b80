#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_MODULE daemon
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <preforkd/run.hpp>

#include "probe.hpp"
#include "variant.hpp"
#include "worker/worker.hpp"

int main(int argc, char** argv) {
    using namespace preforkd;
    if (const auto variant = testing::own_variant())
        return testing::run_variant(argc, argv, *variant);
    const bool is_server = std::filesystem::path(argv[0]).filename() == testing::probe_program;
    if (is_server || worker::is_worker(argc, argv))
        return run(argc, argv, {service<testing::Probe>("probe")});
    return boost::unit_test::unit_test_main(&init_unit_test, argc, argv);
}
