#include "worker/services/connection_limit.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

namespace preforkd::worker {
namespace {

// What every worker has open: logs, channel, listeners, event loop.
constexpr std::size_t own_descriptors = 64;

constexpr std::size_t fewest = 16;

std::size_t possible_connections(std::size_t kept) noexcept {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const std::size_t others = kept + own_descriptors;
    return limit.rlim_cur < others + fewest ? fewest : limit.rlim_cur - others;
}

}  // namespace

std::size_t connection_limit(const ServiceContext& context, std::size_t wanted, std::size_t kept) {
    const std::size_t possible = possible_connections(kept);
    if (wanted == 0) return possible;
    if (wanted <= possible) return wanted;
    context.log(LogLevel::warning,
                fmt::format("max_connections is {}, but the limit on descriptors allows {}; raise "
                            "it (LimitNOFILE=, ulimit -n) or lower max_connections",
                            wanted, possible));
    return possible;
}

}  // namespace preforkd::worker
