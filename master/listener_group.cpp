#include "master/listener_group.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>

#include "master/capabilities.hpp"

namespace preforkd::master {
namespace {

/// The number that a sink has in its group's order: no slot's.
constexpr Member sink_member = ~Member{0};

sock_filter statement(unsigned code, std::uint32_t value) {
    return {static_cast<std::uint16_t>(code), 0, 0, value};
}

error_code attach_program(const UniqueFd& socket, int option,
                          std::vector<sock_filter>& program) noexcept {
    const sock_fprog whole{static_cast<unsigned short>(program.size()), program.data()};
    if (::setsockopt(socket.get(), SOL_SOCKET, option, &whole, sizeof whole) < 0)
        return last_error();
    return {};
}

/// Drops what opens a connection (SYN without ACK) and lets everything else through. On a listening
/// socket the packet begins with the TCP header. Source: socket(7), SO_ATTACH_FILTER.
std::vector<sock_filter> no_new_connections() {
    constexpr std::uint32_t flags_offset = 13, syn = 0x02, ack = 0x10;
    return {statement(BPF_LD | BPF_B | BPF_ABS, flags_offset),
            statement(BPF_ALU | BPF_AND | BPF_K, syn | ack),
            {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, syn},
            statement(BPF_RET | BPF_K, 0),
            statement(BPF_RET | BPF_K, ~0U)};
}

/// Sends those who come from `port` to socket `index`, and all others on to what follows.
std::vector<sock_filter> from_port_to(int family, std::uint16_t port, std::uint32_t index) {
    const std::uint32_t header = family == AF_INET ? 20 : 40;  // ours has no options
    return {statement(BPF_LD | BPF_H | BPF_ABS, static_cast<std::uint32_t>(SKF_NET_OFF) + header),
            {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, port},
            statement(BPF_RET | BPF_K, index)};
}

/// Where a client on this machine reaches `address`.
Address reachable(const Address& address) {
    Address there = address;
    if (!address.is_wildcard()) return there;
    if (address.family() == AF_INET)
        reinterpret_cast<sockaddr_in&>(there.storage).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        reinterpret_cast<sockaddr_in6&>(there.storage).sin6_addr = in6addr_loopback;
    return there;
}

/// A client's socket at `there`'s own host, with a port of its own.
Result<UniqueFd> bound_client(const Address& there, std::uint16_t& port) {
    UniqueFd socket(::socket(there.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) return last_error();
    Address here = there;
    auto& port_field = here.family() == AF_INET
                           ? reinterpret_cast<sockaddr_in&>(here.storage).sin_port
                           : reinterpret_cast<sockaddr_in6&>(here.storage).sin6_port;
    port_field = 0;
    socklen_t length = sizeof here.storage;
    if (::bind(socket.get(), here.get(), here.length) < 0 ||
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&here.storage), &length) < 0)
        return last_error();
    port = here.port();
    return socket;
}

bool is_readable(const UniqueFd& socket) noexcept {
    pollfd question{socket.get(), POLLIN, 0};
    return ::poll(&question, 1, 0) > 0 && (question.revents & POLLIN) != 0;
}

/// Waits for one to connect within this machine, which is done by the time connect(2) returns,
/// unless something is in the way.
bool is_connected(const UniqueFd& socket) noexcept {
    constexpr int patience = 50;  // milliseconds
    pollfd question{socket.get(), POLLOUT, 0};
    return ::poll(&question, 1, patience) > 0 && (question.revents & (POLLERR | POLLHUP)) == 0;
}

}  // namespace

ListenerGroup::ListenerGroup(Listener first, std::string configured, const ListenerOptions& options)
    : address_(first.address()),
      configured_(std::move(configured)),
      options_(options),
      adopted_(first.is_adopted()) {
    sockets_.emplace(Member{0}, std::move(first));
    order_.joined(0);
}

ListenerGroup::ListenerGroup(const SavedGroup& saved)
    : configured_(saved.configured),
      options_(saved.options),
      adopted_(saved.sockets.front().adopted),
      targets_(saved.targets),
      attached_(saved.attached) {
    for (std::size_t i = 0; i < saved.members.size(); ++i) {
        sockets_.emplace(saved.members[i], Listener::restore(saved.sockets[i]));
        order_.joined(saved.members[i]);
    }
    address_ = sockets_.begin()->second.address();
}

SavedGroup ListenerGroup::save() const {
    SavedGroup saved{configured_, options_, {}, {}, targets_, attached_};
    for (std::uint32_t index = 0; index < order_.size(); ++index) {
        if (order_.at(index) == sink_member) continue;
        saved.members.push_back(order_.at(index));
        saved.sockets.push_back(sockets_.at(order_.at(index)).save());
    }
    return saved;
}

ListenerGroup::~ListenerGroup() = default;

bool ListenerGroup::may_have_several() const noexcept {
    return !adopted_ && !address_.is_unix();
}

std::vector<Member> ListenerGroup::members() const {
    std::vector<Member> numbers;
    for (const auto& [member, socket] : sockets_) numbers.push_back(member);
    return numbers;
}

const UniqueFd& ListenerGroup::socket(Member member) const {
    return sockets_.at(member).socket();
}

error_code ListenerGroup::provide(Member member) {
    if (sockets_.contains(member)) return {};
    assert(may_have_several());
    // A socket that joins gets its share at once, unless a program names others.
    if (attached_.empty() && order_.size() > 0)
        if (const error_code error = attach(members())) return error;
    ListenerOptions options = options_;
    options.beside_our_own = true;
    auto listener = Listener::open(address_, options);
    if (!listener) return listener.error();
    sockets_.emplace(member, std::move(*listener));
    order_.joined(member);
    return {};
}

void ListenerGroup::apply(const ListenerOptions& options) noexcept {
    options_ = options;
    // They listen already, and on a listening socket neither can fail.
    for (const auto& [member, listener] : sockets_)
        if (std::ranges::count(leaving_, member) == 0) (void)listener.apply(options);
}

error_code ListenerGroup::steer(const std::vector<Member>& targets) {
    targets_ = targets;
    if (sink_ || targets.empty() || (order_.size() <= 1 && attached_.empty())) return {};
    return attach(targets);
}

error_code ListenerGroup::attach(const std::vector<Member>& targets) noexcept {
    std::vector<std::uint32_t> indexes;
    for (const Member member : targets)
        if (const auto index = order_.index_of(member)) indexes.push_back(*index);
    std::ranges::sort(indexes);
    if (indexes.empty() || indexes == attached_ || sockets_.empty()) return {};
    std::vector<sock_filter> program = steer_to(indexes);
    const UniqueFd& any = sockets_.begin()->second.socket();
    if (const error_code error = attach_program(any, SO_ATTACH_REUSEPORT_CBPF, program))
        return error;
    attached_ = std::move(indexes);
    return {};
}

void ListenerGroup::set_leaving(Member member, bool leaves) noexcept {
    std::erase(leaving_, member);
    const auto found = sockets_.find(member);
    if (found == sockets_.end()) return;
    if (leaves) leaving_.push_back(member);
    ListenerOptions options = options_;
    // A client that has connected and is silent shows within a second. tcp(7), TCP_DEFER_ACCEPT
    if (leaves) options.client_speaks_first = false;
    if (!adopted_) (void)found->second.apply(options);
}

ListenerGroup::Closing ListenerGroup::close_softly() {
    if (closing_) return *closing_;
    if (adopted_ || sockets_.empty()) return closing_.emplace(Closing::not_at_all);
    if (address_.is_unix()) {
        sockets_.begin()->second.remove_path();
        return closing_.emplace(Closing::by_path);
    }
    std::vector<sock_filter> filter = no_new_connections();
    error_code failed;
    for (const auto& [member, listener] : sockets_)
        if (const error_code error = attach_program(listener.socket(), SO_ATTACH_FILTER, filter))
            failed = error;
    if (!failed) return closing_.emplace(Closing::by_filter);
    return closing_.emplace(make_sink() ? Closing::not_at_all : Closing::by_sink);
}

// A socket without room in its queue drops connection requests, as the filter would, and takes no
// privilege. Its queue has room for one, which is ours; nobody else may come before, so it is
// steered to by its port while all others still go where they went.
error_code ListenerGroup::make_sink() {
    const Address there = reachable(address_);
    std::uint16_t port = 0;
    auto filler = bound_client(there, port);
    if (!filler) return filler.error();
    if (attached_.empty())
        if (const error_code error = attach(members())) return error;
    auto sink = Listener::open(address_, {.backlog = 0, .beside_our_own = true});
    if (!sink) return sink.error();
    sink_.emplace(std::move(*sink));
    order_.joined(sink_member);
    const std::uint32_t index = *order_.index_of(sink_member);
    std::vector<sock_filter> program = from_port_to(address_.family(), port, index);
    const std::vector<sock_filter> others = steer_to(attached_);
    program.insert(program.end(), others.begin(), others.end());
    error_code error = attach_program(sink_->socket(), SO_ATTACH_REUSEPORT_CBPF, program);
    if (!error) {
        (void)::connect(filler->get(), there.get(), there.length);
        if (!is_connected(*filler) || !is_readable(sink_->socket()))
            error.assign(ECONNREFUSED, boost::system::system_category());
    }
    if (!error) error = attach({sink_member});
    sink_filler_ = std::move(*filler);
    if (error) remove_sink();
    return error;
}

// Only what we filled it with is in its queue.
void ListenerGroup::remove_sink() {
    if (!sink_) return;
    (void)attach(order_.unmoved_by(sink_member, targets_));
    ::shutdown(sink_->socket().get(), SHUT_RD);
    sink_.reset();
    sink_filler_.reset();
    order_.left(sink_member);
    attached_.clear();
    (void)attach(targets_.empty() ? members() : targets_);
}

void ListenerGroup::take_back() {
    const auto closing = std::exchange(closing_, std::nullopt);
    if (closing == Closing::by_sink) return remove_sink();
    if (closing != Closing::by_filter) return;
    const int unused = 0;
    for (const auto& [member, listener] : sockets_)
        ::setsockopt(listener.socket().get(), SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
}

bool ListenerGroup::has_queue(Member member) const noexcept {
    const auto found = sockets_.find(member);
    return found != sockets_.end() && is_readable(found->second.socket());
}

bool ListenerGroup::listens(Member member) const noexcept {
    const auto found = sockets_.find(member);
    return found == sockets_.end() || found->second.listens();
}

// The kernel has taken a socket that no longer listens out of its order already.
error_code ListenerGroup::renew(Member member) {
    if (adopted_) return {ENOTSUP, boost::system::system_category()};
    sockets_.at(member).remove_path();
    ListenerOptions options = options_;
    options.beside_our_own = true;  // the old one, and the others of its group
    const FileAccess as_at_start;
    auto listener = Listener::open(address_, options);
    if (!listener) return listener.error();
    sockets_.erase(member);
    sockets_.emplace(member, std::move(*listener));
    order_.left(member);
    order_.joined(member);
    attached_.clear();
    if (order_.size() > 1) (void)attach(targets_.empty() ? members() : targets_);
    return {};
}

// Between the kernel's renumbering and our next program the old one is in place, so it must name
// only sockets that keep their numbers. That isn't possible where the only target is the last.
bool ListenerGroup::remove(Member member) {
    const auto found = sockets_.find(member);
    if (found == sockets_.end()) return true;
    std::erase(leaving_, member);
    bool is_clean = true;
    const std::vector<Member> targets = sink_ ? std::vector{sink_member} : targets_;
    if (order_.size() > 1) {
        const std::vector<Member> unmoved = order_.unmoved_by(member, targets);
        is_clean = !unmoved.empty() && !attach(unmoved);
    }
    // Not only our own descriptor: a worker that keeps its one must not keep the socket listening.
    if (may_have_several()) ::shutdown(found->second.socket().get(), SHUT_RD);
    sockets_.erase(found);
    order_.left(member);
    attached_.clear();
    std::erase(targets_, member);
    if (sockets_.empty())
        sink_.reset(), sink_filler_.reset();
    else if (order_.size() > 1)
        (void)attach(sink_ ? targets : targets_.empty() ? members() : targets_);
    return is_clean;
}

}  // namespace preforkd::master
