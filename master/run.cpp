#include <fmt/format.h>

#include <filesystem>
#include <preforkd/run.hpp>

#include "master/startup.hpp"
#include "shared/process_title.hpp"
#include "worker/worker.hpp"

namespace preforkd {

int run(int argc, char** argv, std::vector<ServiceType> services) {
    if (argc == 0) return 2;  // execve(2) allows it; there is no name to go by
    const std::string program = std::filesystem::path(argv[0]).filename();
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const bool is_worker = worker::is_worker(argc, argv);
    reserve_process_title(argc, argv);
    if (is_worker) return worker::run_worker(services);
    return master::run_master(program, arguments, {services.begin(), services.end()});
}

}  // namespace preforkd
