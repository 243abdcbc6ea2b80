#include <preforkd/run.hpp>

#include "master/startup.hpp"
#include "shared/process_title.hpp"
#include "shared/version.hpp"
#include "worker/worker.hpp"

namespace preforkd {

int run(int argc, char** argv, std::vector<ServiceType> services, std::string version) {
    if (argc == 0) return 2;  // execve(2) allows it; there is no name to go by
    const master::Invocation invocation{
        argv[0],
        {argv + 1, argv + argc},
        {services.begin(), services.end()},
        version.empty() ? std::string(program_version()) : std::move(version)};
    const bool is_worker = worker::is_worker(argc, argv);
    reserve_process_title(argc, argv);
    return is_worker ? worker::run_worker(services) : master::run_master(invocation);
}

}  // namespace preforkd
