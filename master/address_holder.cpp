#include "master/address_holder.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "master/processes.hpp"
#include "shared/log.hpp"

namespace preforkd::master {
namespace {

constexpr const char* listening = "0A";  // TCP_LISTEN, as the kernel prints it
constexpr std::size_t most_named = 3;

/// A line of /proc/net/tcp or tcp6, as far as we need it.
struct SocketLine {
    std::string local;  ///< "0100007F:1F90": words of the address in memory order, then the port
    std::string inode;
};

/// The listening ones, which the kernel lists before all others: a busy machine has tens of
/// thousands of those.
std::vector<SocketLine> read_listening(const char* path) {
    std::vector<SocketLine> lines;
    std::ifstream file(path);
    std::string line, skipped, state;
    std::getline(file, line);  // headings
    while (std::getline(file, line)) {
        std::istringstream fields(line);
        SocketLine socket;
        // sl local remote st tx:rx tr:when retrnsmt uid timeout inode
        fields >> skipped >> socket.local >> skipped >> state;
        if (state != listening) break;
        for (int field = 0; field < 5; ++field) fields >> skipped;
        if (fields >> socket.inode) lines.push_back(std::move(socket));
    }
    return lines;
}

/// The address's `size` bytes as /proc/net prints them: one 32-bit word after the other.
std::string printed_words(const void* bytes, std::size_t size) {
    std::string text;
    for (std::size_t at = 0; at < size; at += sizeof(std::uint32_t)) {
        std::uint32_t word = 0;
        std::memcpy(&word, static_cast<const char*>(bytes) + at, sizeof word);
        text += fmt::format("{:08X}", word);
    }
    return text;
}

std::string printed_host(const Address& address) {
    if (address.family() == AF_INET)
        return printed_words(&reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr, 4);
    return printed_words(&reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr, 16);
}

bool is_printed_wildcard(std::string_view host) {
    return host.find_first_not_of('0') == std::string_view::npos;
}

void add_listeners(const char* path, const Address& address, std::vector<std::string>& inodes) {
    const std::string port = fmt::format(":{:04X}", address.port());
    const std::string host = printed_host(address);
    for (const SocketLine& socket : read_listening(path)) {
        if (!socket.local.ends_with(port)) continue;
        const std::string_view theirs =
            std::string_view(socket.local).substr(0, socket.local.find(':'));
        if (theirs == host || is_printed_wildcard(theirs) || address.is_wildcard())
            inodes.push_back(socket.inode);
    }
}

std::vector<std::string> listening_inodes(const Address& address) {
    std::vector<std::string> inodes;
    if (address.family() == AF_INET) add_listeners("/proc/self/net/tcp", address, inodes);
    // An IPv6 wildcard without IPV6_V6ONLY takes the IPv4 port too.
    add_listeners("/proc/self/net/tcp6", address, inodes);
    return inodes;
}

std::vector<std::string> unix_inodes(const Address& address) {
    std::vector<std::string> inodes;
    const std::string path = address.text.substr(address.text.find(':') + 1);
    std::ifstream file("/proc/self/net/unix");
    std::string line;
    while (std::getline(file, line)) {
        // Num RefCount Protocol Flags Type St Inode Path; the path, which may hold spaces, is last.
        if (!line.ends_with(" " + path)) continue;
        std::istringstream fields(line);
        std::string inode;
        for (int field = 0; field < 7; ++field) fields >> inode;
        inodes.push_back(inode);
    }
    return inodes;
}

std::string describe(const std::vector<Pid>& pids, bool is_listening) {
    if (pids.empty())
        return is_listening ? "a process that can't be seen from here (look as root)"
                            : "a socket that isn't listening, or in another network namespace";
    std::string text;
    for (std::size_t index = 0; index < std::min(pids.size(), most_named); ++index)
        // Its owner chose the name, and a terminal may be what it is printed on.
        text += fmt::format("{}pid {} ({})", index == 0 ? "" : ", ", pids[index].value,
                            escape_for_log(program_of(pids[index])));
    if (pids.size() > most_named) text += fmt::format(" and {} more", pids.size() - most_named);
    return text;
}

}  // namespace

AddressHolder find_holder(const Address& address) {
    const auto inodes = address.is_unix() ? unix_inodes(address) : listening_inodes(address);
    AddressHolder holder;
    std::vector<std::string> links;
    for (const std::string& inode : inodes) links.push_back(fmt::format("socket:[{}]", inode));
    for (const OpenDescriptor& open : find_open(links, all_processes()))
        holder.pids.push_back(open.pid);
    std::sort(holder.pids.begin(), holder.pids.end());
    holder.pids.erase(std::unique(holder.pids.begin(), holder.pids.end()), holder.pids.end());
    holder.text = describe(holder.pids, !inodes.empty());
    return holder;
}

std::vector<Pid> orphans_among(const AddressHolder& holder, std::string_view program) {
    std::vector<Pid> orphans = holder.pids.empty() ? all_processes() : holder.pids;
    std::erase_if(orphans,
                  [&](Pid pid) { return !is_exiting(pid) && !is_orphaned_worker(pid, program); });
    return orphans;
}

}  // namespace preforkd::master
