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

error_code hand_over(const Deployment& deployment, const UniqueFd& channel, std::string_view pool,
                     std::string_view slot, Generation generation) {
    Sender to_worker(channel);
    to_worker.send(MessageKind::setup, deployment.config_text, slot, 0, generation);
    const auto& sections = deployment.config.listeners;
    for (std::uint32_t section = 0; section < sections.size(); ++section) {
        if (!serves(pool, sections[section])) continue;
        for (const UniqueFd* socket : deployment.listeners.sockets_of(sections[section].name))
            to_worker.send(MessageKind::listener, *socket, {}, section);
        for (const OpenedPath& path : deployment.paths)
            if (path.section == section)
                to_worker.send(MessageKind::path, path.descriptor, path.key, section);
    }
    const auto style = static_cast<std::uint32_t>(deployment.logs.error_style);
    to_worker.send(MessageKind::error_log, deployment.logs.error, {}, style);
    if (deployment.logs.access.is_open())
        to_worker.send(MessageKind::access_log, deployment.logs.access);
    to_worker.send(MessageKind::start, UniqueFd());
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
