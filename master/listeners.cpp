#include "master/listeners.hpp"
#include <sys/socket.h>
#include "shared/result.hpp"
namespace preforkd::master {
ListenerSet ListenerSet::rebind(const Config& candidate, const std::vector<ServiceSpec>&) const {
    ListenerSet next;
    for (auto& section : candidate.listeners)
        for (auto& address : section.addresses) {
            bool kept = false;
            for (auto& o : all_)
                if (o.address == address) {
                    auto c = o;
                    c.section = section.name;
                    next.all_.push_back(c);
                    kept = true;
                }
            if (kept) continue;
            auto fd = std::make_shared<UniqueFd>(
                ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            int one = 1;
            ::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
            if (::bind(fd->get(), address.get(), address.length) < 0 ||
                ::listen(fd->get(), 4096) < 0)
                throw StartupError(1, "bind " + address.text + ": " + last_error().message());
            sockaddr_storage s{};
            socklen_t l = sizeof s;
            ::getsockname(fd->get(), reinterpret_cast<sockaddr*>(&s), &l);
            next.all_.push_back(
                {section.name, address, fd, make_address(reinterpret_cast<sockaddr*>(&s), l).text});
        }
    return next;
}
}  // namespace preforkd::master
