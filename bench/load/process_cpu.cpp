#include "bench/load/process_cpu.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace preforkd::bench {
namespace {

namespace fs = std::filesystem;

nanoseconds used_by(int pid) {
    clockid_t clock{};
    timespec used{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0)
        return nanoseconds(0);
    return std::chrono::seconds(used.tv_sec) + nanoseconds(used.tv_nsec);
}

nanoseconds used_by_reaped_children_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');  // the name may hold anything, even ")"
    if (name_end == text.npos) return nanoseconds(0);
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    for (int field = 3; field < 16; ++field) fields >> skipped;
    std::int64_t user = 0, system = 0;
    fields >> user >> system;
    static const std::int64_t tick = 1'000'000'000 / ::sysconf(_SC_CLK_TCK);
    return nanoseconds((user + system) * tick);
}

void find_family(int pid, std::set<int>& family) {
    if (!family.insert(pid).second) return;
    std::error_code error;
    for (const auto& task :
         fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
        std::ifstream file(task.path() / "children");
        for (int child = 0; file >> child;) find_family(child, family);
    }
}

nanoseconds from(const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

}  // namespace

nanoseconds cpu_time(const std::vector<int>& roots) {
    std::set<int> family;
    for (const int root : roots) find_family(root, family);
    nanoseconds total{0};
    for (const int pid : family) total += used_by(pid) + used_by_reaped_children_of(pid);
    return total;
}

nanoseconds own_cpu_time() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return from(usage.ru_utime) + from(usage.ru_stime);
}

}  // namespace preforkd::bench
