// The floor: as little work as a server can do and still answer. One process, bare epoll, canned
// answers, no library between. It checks nothing, limits nothing and knows no file: a measuring
// instrument to hold figures against, not a server. How it waits, accepts and answers is what the
// measurements of bench/RESULTS.md found cheapest.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

struct Options {
    in_port_t port = 0;
    std::size_t size = 1024;  // of the body
    int defer = 0;            // seconds of TCP_DEFER_ACCEPT; 0 = off
    bool echo = false;
};

// One connection; memory of its own only while a write is blocked or a request incomplete.
struct Connection {
    std::string unread;    // the beginning of a request
    std::string unsent;    // the end of an answer
    bool closing = false;  // close when `unsent` is out
    bool waited = false;   // is in the epoll set
};

constexpr std::string_view usage =
    "usage: floor PORT [--size BYTES] [--defer SECONDS] [--echo]\n"
    "Answers every HTTP request on 127.0.0.1:PORT with the same body, or echoes.\n";

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "floor: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const auto next = [&] { return i + 1 < argc ? std::strtoul(argv[++i], nullptr, 10) : 0; };
        if (word == "--size")
            options.size = next();
        else if (word == "--defer")
            options.defer = int(next());
        else if (word == "--echo")
            options.echo = true;
        else
            options.port = in_port_t(std::strtoul(argv[i], nullptr, 10));
    }
    if (options.port != 0) return options;
    std::fwrite(usage.data(), 1, usage.size(), stderr);
    std::exit(2);
}

int listen_on(const Options& options) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // accepted sockets inherit it
    if (options.defer > 0)
        ::setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &options.defer, sizeof options.defer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("bind");
    if (::listen(fd, 4096) != 0) die("listen");
    return fd;
}

// The two answers, with a Date that is set once a second.
class Answers {
  public:
    explicit Answers(std::size_t size) {
        render(keep_alive, "keep-alive", size);
        render(close, "close", size);
    }

    void tick() {
        timespec now{};
        ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
        if (now.tv_sec == second_) return;
        second_ = now.tv_sec;
        tm parts{};
        ::gmtime_r(&now.tv_sec, &parts);
        char date[30];
        ::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        std::memcpy(&keep_alive[date_at], date, 29);
        std::memcpy(&close[date_at], date, 29);
    }

    std::string keep_alive, close;

  private:
    static constexpr std::string_view start = "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: ";
    static constexpr std::size_t date_at = start.size();

    static void render(std::string& out, const char* connection, std::size_t size) {
        out = start;
        out += std::string(29, ' ');
        out += "\r\nContent-Type: text/html\r\nContent-Length: ";
        out += std::to_string(size);
        out += "\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: ";
        out += connection;
        out += "\r\nETag: \"65920080-400\"\r\nAccept-Ranges: bytes\r\n\r\n";
        out += std::string(size, 'x');
    }

    time_t second_ = 0;
};

class Floor {
  public:
    explicit Floor(const Options& options)
        : options_(options), answers_(options.size), listener_(listen_on(options)) {
        epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = listener_;
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) != 0) die("epoll");
    }

    [[noreturn]] void run() {
        std::vector<epoll_event> events(512);
        while (true) {
            const int ready = ::epoll_wait(epoll_, events.data(), int(events.size()), 1000);
            answers_.tick();
            for (int i = 0; i < ready; ++i) {
                const int fd = events[std::size_t(i)].data.fd;
                if (fd == listener_)
                    accept_some();
                else
                    on_event(fd, events[std::size_t(i)].events);
            }
        }
    }

  private:
    // A deferred connection has its request already, so it is read at once, and joins epoll only
    // when it stays. An accept4 that finds nothing is dear, so an ordinary listener takes one at a
    // time.
    void accept_some() {
        for (int left = options_.defer > 0 ? 64 : 1; left > 0; --left) {
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            if (connections_.size() <= std::size_t(fd)) connections_.resize(std::size_t(fd) + 1024);
            connections_[std::size_t(fd)] = Connection{};
            if (options_.defer > 0)
                read_from(fd, 0);
            else
                wait_for(fd);
        }
    }

    void wait_for(int fd) {
        Connection& connection = connections_[std::size_t(fd)];
        if (std::exchange(connection.waited, true)) return;
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        event.data.fd = fd;
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }

    void on_event(int fd, std::uint32_t what) {
        Connection& connection = connections_[std::size_t(fd)];
        if (!connection.unsent.empty()) {
            const std::string rest = std::exchange(connection.unsent, {});
            if (!send_all(fd, rest, connection.closing) || !connection.unsent.empty()) return;
            what |= EPOLLIN;
        }
        if ((what & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) read_from(fd, what);
    }

    // Not read again after a short read: the next recv would only find nothing.
    void read_from(int fd, std::uint32_t what) {
        while (true) {
            const ssize_t got = ::recv(fd, buffer_, sizeof buffer_, 0);
            if (got < 0 && errno == EAGAIN) return wait_for(fd);
            if (got <= 0) return void(::close(fd));
            if (!answer(fd, std::string_view(buffer_, std::size_t(got)))) return;
            const bool ended = (what & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0;
            if (std::size_t(got) < sizeof buffer_ && !ended) return wait_for(fd);
        }
    }

    // False: the connection is gone, or can't take more.
    bool answer(int fd, std::string_view bytes) {
        if (options_.echo) return send_all(fd, bytes, false);
        Connection& connection = connections_[std::size_t(fd)];
        if (!connection.unread.empty()) {
            joined_ = std::exchange(connection.unread, {});
            joined_ += bytes;
            bytes = joined_;
        }
        unsigned requests = 0;
        bool close = false;
        for (std::size_t end; !close && (end = bytes.find("\r\n\r\n")) != bytes.npos; ++requests) {
            close = bytes.substr(0, end).find("Connection: close") != bytes.npos;
            bytes.remove_prefix(end + 4);
        }
        connection.unread = bytes;
        if (requests == 0) return true;
        if (requests == 1) return send_all(fd, close ? answers_.close : answers_.keep_alive, close);
        many_.clear();
        for (unsigned i = 0; i + 1 < requests; ++i) many_ += answers_.keep_alive;
        many_ += close ? answers_.close : answers_.keep_alive;
        return send_all(fd, many_, close);
    }

    bool send_all(int fd, std::string_view bytes, bool then_close) {
        const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            ::close(fd);
            return false;
        }
        bytes.remove_prefix(sent < 0 ? 0 : std::size_t(sent));
        Connection& connection = connections_[std::size_t(fd)];
        if (!bytes.empty()) {
            connection.unsent = bytes;
            connection.closing = then_close;
            wait_for(fd);
            return false;
        }
        if (then_close) ::close(fd);
        return !then_close;
    }

    const Options options_;
    Answers answers_;
    const int listener_;
    int epoll_ = -1;
    std::vector<Connection> connections_ = std::vector<Connection>(1024);
    std::string joined_, many_;
    char buffer_[65536]{};
};

}  // namespace

int main(int argc, char** argv) {
    ::signal(SIGPIPE, SIG_IGN);
    static Floor floor(parse(argc, argv));
    floor.run();
}
