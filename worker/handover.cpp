#include "worker/handover.hpp"

#include "shared/syscalls.hpp"

namespace preforkd::worker {
namespace {

constexpr std::size_t largest_configuration = 4u << 20;

}  // namespace

Result<Handover> receive_handover(const UniqueFd& channel) {
    Handover handover;
    for (;;) {
        auto received = receive_from_master(channel);
        if (!received) return received.error();
        auto& [message, descriptor] = *received;
        switch (message.kind) {
            case MessageKind::setup: {
                auto text = read_all(descriptor, largest_configuration);
                if (!text) return text.error();
                handover.config_text = std::move(*text);
                handover.slot = message.get_text();
                handover.generation.value = message.generation;
                break;
            }
            case MessageKind::listener:
                handover.listeners.push_back({message.section, {}, std::move(descriptor)});
                break;
            case MessageKind::path:
                handover.paths.push_back(
                    {message.section, std::string(message.get_text()), std::move(descriptor)});
                break;
            case MessageKind::copies:
                handover.copies = std::move(descriptor);
                break;
            case MessageKind::error_log:  // fd 2 is already in place
                handover.error_style = static_cast<LogStyle>(message.section);
                break;
            case MessageKind::access_log:
                handover.access_log = std::move(descriptor);
                break;
            case MessageKind::page:
                handover.page = std::move(descriptor);
                break;
            case MessageKind::hang_timer:
                handover.hang_timer = std::move(descriptor);
                break;
            case MessageKind::scoreboard: {
                auto reader = ScoreboardReader::open(descriptor, {});
                if (!reader) return reader.error();
                handover.scoreboard = std::move(*reader);
                break;
            }
            case MessageKind::other_page:
                if (handover.scoreboard)
                    (void)handover.scoreboard->add_page(message.section, descriptor);
                break;
            case MessageKind::kernel:
                handover.kernel = {.landlock = message.section,
                                   .seccomp = message.get_text() == "seccomp"};
                break;
            case MessageKind::start:
                if (handover.kernel) return handover;
                return error_code(EBADMSG, boost::system::system_category());
            default:
                return error_code(EBADMSG, boost::system::system_category());
        }
    }
}

}  // namespace preforkd::worker
