#include "bench/load/process_cpu.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

namespace preforkd::bench {
namespace {

namespace fs = std::filesystem;

/// 0 when the process is gone.
int parent_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');  // the name may hold anything, even ")"
    if (name_end == text.npos || name_end + 4 >= text.size()) return 0;
    return std::atoi(text.c_str() + name_end + 4);
}

std::map<int, int> parents() {
    std::map<int, int> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename();
        int pid = 0;
        const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (bad == std::errc() && end == name.data() + name.size()) found[pid] = parent_of(pid);
    }
    return found;
}

bool descends_from(int pid, const std::vector<int>& roots, const std::map<int, int>& parent) {
    while (pid > 0) {
        if (std::find(roots.begin(), roots.end(), pid) != roots.end()) return true;
        const auto found = parent.find(pid);
        pid = found == parent.end() ? 0 : found->second;
    }
    return false;
}

nanoseconds cpu_time_of(int pid) {
    std::int64_t total = 0;
    std::error_code error;
    for (const auto& task :
         fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
        std::ifstream file(task.path() / "schedstat");
        std::int64_t on_cpu = 0;
        if (file >> on_cpu) total += on_cpu;
    }
    return nanoseconds(total);
}

nanoseconds from(const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

}  // namespace

std::map<int, nanoseconds> cpu_times(const std::vector<int>& roots) {
    std::map<int, nanoseconds> times;
    if (roots.empty()) return times;
    const auto parent = parents();
    for (const auto& [pid, unused] : parent)
        if (descends_from(pid, roots, parent)) times[pid] = cpu_time_of(pid);
    return times;
}

nanoseconds cpu_used(const std::map<int, nanoseconds>& before,
                     const std::map<int, nanoseconds>& after) {
    nanoseconds used{0};
    for (const auto& [pid, time] : after) {
        const auto earlier = before.find(pid);
        used += time - (earlier == before.end() ? nanoseconds(0) : earlier->second);
    }
    return used;
}

nanoseconds own_cpu_time() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return from(usage.ru_utime) + from(usage.ru_stime);
}

}  // namespace preforkd::bench
