#include "master/deployment.hpp"

#include "master/pools.hpp"
#include "shared/channel.hpp"

namespace preforkd::master {
namespace {

/// Sends one message after another until one can't be sent.
class Sender {
  public:
    explicit Sender(const UniqueFd& channel) : channel_(channel) {}

    void send(MessageKind kind, const UniqueFd& descriptor, std::string_view text = {},
              std::uint32_t section = 0, Generation generation = {}) {
        if (error_) return;
        Message message;
        message.kind = kind;
        message.section = section;
        message.generation = generation.value;
        message.set_text(text);
        error_ = send_message(channel_, message, descriptor.get());
    }
    [[nodiscard]] error_code error() const { return error_; }

  private:
    const UniqueFd& channel_;
    error_code error_;
};

}  // namespace

SavedDeployment save(const Deployment& deployment, std::string config_text) {
    SavedDeployment saved{std::move(config_text),
                          deployment.listeners.save(),
                          {},
                          descriptor_of(deployment.copies),
                          save(deployment.logs)};
    for (const OpenedPath& path : deployment.paths)
        saved.paths.push_back({path.section, path.key, descriptor_of(path.descriptor)});
    return saved;
}

Deployment restore(const SavedDeployment& saved, Config config, UniqueFd config_text) {
    Deployment deployment{std::move(config),
                          std::move(config_text),
                          ListenerSet::restore(saved.listeners),
                          {},
                          UniqueFd(saved.copies.number),
                          restore(saved.logs)};
    for (const SavedPath& path : saved.paths)
        deployment.paths.push_back({path.section, path.key, UniqueFd(path.descriptor.number)});
    return deployment;
}

std::vector<Place> places_of(const Deployment& deployment, std::string_view pool,
                             std::uint32_t slot) {
    std::vector<Place> places;
    for (const ListenSection& section : deployment.config.listeners) {
        if (!serves(pool, section)) continue;
        for (Place& place : deployment.listeners.places_of(section.name, slot))
            places.push_back(std::move(place));
    }
    return places;
}

error_code provide_places(const Deployment& deployment, std::string_view pool, std::uint32_t slot) {
    for (const ListenSection& section : deployment.config.listeners)
        if (serves(pool, section))
            if (const error_code error = deployment.listeners.provide(section.name, slot))
                return error;
    return {};
}

error_code hand_over(const Deployment& deployment, const UniqueFd& channel,
                     const WorkerName& name) {
    Sender to_worker(channel);
    to_worker.send(MessageKind::setup, deployment.config_text, name.text, 0, name.generation);
    const auto& sections = deployment.config.listeners;
    for (std::uint32_t section = 0; section < sections.size(); ++section) {
        if (!serves(name.pool, sections[section])) continue;
        for (const Place& place : deployment.listeners.places_of(sections[section].name, name.slot))
            to_worker.send(MessageKind::listener, place.group->socket(place.member), {}, section);
        for (const OpenedPath& path : deployment.paths)
            if (path.section == section)
                to_worker.send(MessageKind::path, path.descriptor, path.key, section);
    }
    if (deployment.copies.is_open()) to_worker.send(MessageKind::copies, deployment.copies);
    const auto style = static_cast<std::uint32_t>(deployment.logs.error_style);
    to_worker.send(MessageKind::error_log, deployment.logs.error, {}, style);
    if (deployment.logs.access.is_open())
        to_worker.send(MessageKind::access_log, deployment.logs.access);
    return to_worker.error();
}

error_code send_to_worker(const UniqueFd& channel, MessageKind kind, const UniqueFd& descriptor,
                          std::uint32_t number) {
    Sender to_worker(channel);
    to_worker.send(kind, descriptor, {}, number);
    return to_worker.error();
}

error_code hand_over_kernel(const KernelSandbox& kernel, const UniqueFd& channel) {
    Sender to_worker(channel);
    to_worker.send(MessageKind::kernel, UniqueFd(), kernel.seccomp ? "seccomp" : "",
                   kernel.landlock);
    return to_worker.error();
}

error_code hand_over_logs(const LogFiles& logs, const UniqueFd& channel) {
    Sender to_worker(channel);
    to_worker.send(MessageKind::output_log, logs.output);
    to_worker.send(MessageKind::error_log, logs.error, {},
                   static_cast<std::uint32_t>(logs.error_style));
    if (logs.access.is_open()) to_worker.send(MessageKind::access_log, logs.access);
    return to_worker.error();
}

}  // namespace preforkd::master
