#include <preforkd/service.hpp>
#include <stdexcept>

namespace preforkd {

std::optional<std::string_view> ServiceContext::copy_of(std::string_view key,
                                                        std::size_t number) const {
    const auto found = copies_.find({std::string(key), number});
    if (found == copies_.end()) return std::nullopt;
    return found->second;
}

void ServiceContext::keep_metrics(std::vector<Metric> metrics, std::span<Counter> counters) {
    metrics_ = std::move(metrics);
    counters_ = counters;
}

Counter& ServiceContext::counter(std::string_view name) const {
    return metric(name, Metric::Kind::counter);
}

Counter& ServiceContext::gauge(std::string_view name) const {
    return metric(name, Metric::Kind::gauge);
}

Counter& ServiceContext::metric(std::string_view name, Metric::Kind kind) const {
    for (std::size_t i = 0; i < metrics_.size() && i < counters_.size(); ++i)
        if (metrics_[i].name == name && metrics_[i].kind == kind) return counters_[i];
    throw std::logic_error("the service of listener '" + listener_name_ + "' declares no " +
                           (kind == Metric::Kind::gauge ? "gauge '" : "counter '") +
                           std::string(name) + "' in its metrics()");
}

}  // namespace preforkd
