#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "shared/unique_fd.hpp"

// bench/load against servers that behave badly in known ways: each failure must come out in its
// class, once, and nothing else may count as one.

namespace {

using preforkd::UniqueFd;

const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const std::string last_answer =
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";

/// For the server's thread, where Boost.Test's own checks are not safe.
void must(bool holds) {
    if (!holds) std::abort();
}

/// One accepted connection of the server that misbehaves.
class Peer {
  public:
    explicit Peer(int fd) : fd_(fd) {}

    /// Reads up to the next blank line, or to the end of the stream. False: the end came first.
    bool read_request(const char* end = "\r\n\r\n") {
        while (buffer_.find(end) == std::string::npos) {
            char part[4096];
            const ssize_t got = ::recv(fd_.get(), part, sizeof part, 0);
            if (got <= 0) return false;
            buffer_.append(part, std::size_t(got));
        }
        buffer_.erase(0, buffer_.find(end) + std::string(end).size());
        return true;
    }

    void say(const std::string& text) {
        must(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) == ssize_t(text.size()));
    }

    /// Bytes and the end of the stream in one segment, so that nothing can happen between the two.
    void say_and_close(const std::string& text) {
        ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_MORE);
        close();
    }

    /// The same, but it goes on listening.
    void say_and_half_close(const std::string& text) {
        ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_MORE);
        ::shutdown(fd_.get(), SHUT_WR);
    }

    void close() { fd_.reset(); }

    void reset() {
        const linger now{1, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        fd_.reset();
    }

    void answer_all(const std::string& text = answer) {
        while (read_request()) say(text);
    }

  private:
    UniqueFd fd_;
    std::string buffer_;
};

/// Listens on a port of the kernel's choice and does as it is told with each connection in turn.
class Server {
  public:
    Server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        BOOST_TEST_REQUIRE(::bind(listener_.get(), generic, length) == 0);
        BOOST_TEST_REQUIRE(::listen(listener_.get(), 64) == 0);
        BOOST_TEST_REQUIRE(::getsockname(listener_.get(), generic, &length) == 0);
        port_ = std::to_string(ntohs(address.sin_port));
    }

    [[nodiscard]] std::string at(const std::string& scheme = "http") const {
        return scheme + "://127.0.0.1:" + port_ + (scheme == "http" ? "/" : "");
    }

    Peer accept() { return Peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
    void stop_listening() { listener_.reset(); }

    /// load's first request, by which it makes sure that the server is there and right.
    void serve_probe() { accept().answer_all(); }

  private:
    UniqueFd listener_;
    std::string port_;
};

/// A run of bench/load in a process of its own.
class Load {
  public:
    explicit Load(std::vector<std::string> arguments) {
        int output[2], input[2];
        BOOST_TEST_REQUIRE(::pipe2(output, O_CLOEXEC) == 0);
        BOOST_TEST_REQUIRE(::pipe2(input, O_CLOEXEC) == 0);
        arguments.insert(arguments.begin(), {PREFORKD_LOAD, "--quiet", "--json", "-", "-c", "1"});
        std::vector<char*> argv;
        for (std::string& word : arguments) argv.push_back(word.data());
        argv.push_back(nullptr);
        pid_ = ::fork();
        BOOST_TEST_REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            ::dup2(input[0], STDIN_FILENO);
            ::dup2(output[1], STDOUT_FILENO);
            ::execv(argv[0], argv.data());
            ::_exit(127);
        }
        ::close(input[0]);
        ::close(output[1]);
        input_.reset(input[1]);
        output_.reset(output[0]);
    }

    ~Load() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }

    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    /// Gives it a line and waits until it has been read.
    void tell(const std::string& line) {
        must(::write(input_.get(), line.data(), line.size()) == ssize_t(line.size()));
        for (int unread = 1; unread > 0; ::sched_yield())
            must(::ioctl(input_.get(), FIONREAD, &unread) == 0);
    }

    /// Reads its report to the end.
    void finish() {
        char part[4096];
        for (ssize_t got; (got = ::read(output_.get(), part, sizeof part)) > 0;)
            report_.append(part, std::size_t(got));
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = 0;
        BOOST_TEST_REQUIRE(WIFEXITED(status));
        exit_code = WEXITSTATUS(status);
    }

    [[nodiscard]] long figure(const std::string& name) const {
        return number_after("\"" + name + "\": (\\d+)");
    }
    [[nodiscard]] long fresh(const std::string& kind) const {
        return number_after("\"" + kind + "\": \\{\"fresh\": (\\d+)");
    }
    [[nodiscard]] long reused(const std::string& kind) const {
        return number_after("\"" + kind + "\": \\{\"fresh\": \\d+, \"reused\": (\\d+)");
    }

    int exit_code = -1;

  private:
    [[nodiscard]] long number_after(const std::string& pattern) const {
        std::smatch found;
        BOOST_TEST_REQUIRE(std::regex_search(report_, found, std::regex(pattern)),
                           pattern << " in " << report_);
        return std::stol(found[1]);
    }

    pid_t pid_ = 0;
    UniqueFd input_, output_;
    std::string report_;
};

/// Runs load against `server`, whose connections after the first are handled by `behave`.
void run(Load& load, Server& server, const std::function<void()>& behave) {
    std::thread thread([&] {
        server.serve_probe();
        behave();
    });
    load.finish();
    thread.join();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_load)

BOOST_AUTO_TEST_CASE(right_answers_are_counted_and_nothing_fails) {
    Server server;
    Load load({"-n", "50", server.at()});
    run(load, server, [&] { server.accept().answer_all(); });
    BOOST_TEST(load.figure("answered") == 50);
    BOOST_TEST(load.figure("failed") == 0);
    BOOST_TEST(load.figure("connections_opened") == 1);
    BOOST_TEST(load.exit_code == 0);
}

BOOST_AUTO_TEST_CASE(an_announced_close_costs_no_request) {
    Server server;
    Load load({"-n", "5", server.at()});
    run(load, server, [&] {
        for (int i = 0; i < 5; ++i) {
            Peer peer = server.accept();
            peer.read_request();
            peer.say_and_close(last_answer);
        }
    });
    BOOST_TEST(load.figure("answered") == 5);
    BOOST_TEST(load.figure("failed") == 0);
    BOOST_TEST(load.figure("closes_announced") == 5);
}

BOOST_AUTO_TEST_CASE(nobody_listening_is_refused_and_not_retried) {
    Server server;
    Load load({"-n", "3", server.at()});
    run(load, server, [&] {
        Peer peer = server.accept();
        server.stop_listening();
        peer.read_request();
        peer.say_and_close(last_answer);
    });
    BOOST_TEST(load.figure("answered") == 1);
    BOOST_TEST(load.fresh("refused") == 2);
    BOOST_TEST(load.figure("failed") == 2);
    BOOST_TEST(load.exit_code == 1);
}

BOOST_AUTO_TEST_CASE(a_close_instead_of_an_answer_is_end_of_stream) {
    Server server;
    Load load({"-n", "2", server.at()});
    run(load, server, [&] {
        Peer peer = server.accept();
        peer.read_request();
        peer.say(answer);
        peer.read_request();
        peer.close();
    });
    BOOST_TEST(load.figure("answered") == 1);
    BOOST_TEST(load.reused("end_of_stream") == 1);
    BOOST_TEST(load.figure("failed") == 1);
}

BOOST_AUTO_TEST_CASE(an_end_that_came_with_the_answer_before_is_end_of_stream) {
    // A server that said no word of closing and half-closed with its answer left the next request
    // to its time-out: epoll had told of the end already.
    Server server;
    Load load({"-n", "2", "--timeout", "60s", server.at()});
    run(load, server, [&] {
        Peer peer = server.accept();
        peer.read_request();
        peer.say_and_half_close(answer);
        while (peer.read_request()) {
        }
    });
    BOOST_TEST(load.figure("answered") == 1);
    BOOST_TEST(load.reused("end_of_stream") == 1);
    BOOST_TEST(load.figure("failed") == 1);
}

BOOST_AUTO_TEST_CASE(a_reset_instead_of_an_answer_is_a_reset) {
    Server server;
    Load load({"-n", "1", server.at()});
    run(load, server, [&] {
        Peer peer = server.accept();
        peer.read_request();
        peer.reset();
    });
    BOOST_TEST(load.fresh("reset") == 1);
    BOOST_TEST(load.figure("failed") == 1);
}

BOOST_AUTO_TEST_CASE(half_an_answer_is_truncated_even_if_the_end_came_with_it) {
    // An edge-triggered reader that trusts a short read misses an end that came in the same
    // segment.
    Server server;
    Load load({"-n", "1", "--timeout", "60s", server.at()});
    run(load, server, [&] {
        Peer peer = server.accept();
        peer.read_request();
        peer.say_and_close(answer.substr(0, answer.size() - 2));
    });
    BOOST_TEST(load.fresh("truncated") == 1);
    BOOST_TEST(load.figure("failed") == 1);
}

BOOST_AUTO_TEST_CASE(silence_is_a_timeout) {
    Server server;
    Load load({"-n", "1", "--timeout", "50ms", server.at()});
    run(load, server, [&] {
        Peer peer = server.accept();
        while (peer.read_request()) {
        }
    });
    BOOST_TEST(load.fresh("timeout") == 1);
    BOOST_TEST(load.figure("failed") == 1);
}

BOOST_AUTO_TEST_CASE(wrong_answers_are_told_apart_and_the_connection_goes_on) {
    Server server;
    Load load({"-n", "4", "--check-content", server.at()});
    run(load, server, [&] {
        Peer peer = server.accept();
        for (const std::string& text :
             {std::string("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno"),
              std::string("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell"),
              std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellO"), answer}) {
            peer.read_request();
            peer.say(text);
        }
    });
    BOOST_TEST(load.figure("answered") == 1);
    BOOST_TEST(load.fresh("bad_status") == 1);
    BOOST_TEST(load.reused("wrong_content") == 2);
    BOOST_TEST(load.figure("failed") == 3);
    BOOST_TEST(load.figure("connections_opened") == 1);
}

BOOST_AUTO_TEST_CASE(requests_behind_an_announced_close_are_unanswered) {
    Server server;
    Load load({"-n", "3", "-p", "3", server.at()});
    run(load, server, [&] {
        Peer peer = server.accept();
        for (int i = 0; i < 3; ++i) peer.read_request();
        peer.say_and_close(last_answer);
    });
    BOOST_TEST(load.figure("answered") == 1);
    BOOST_TEST(load.fresh("unanswered") == 2);
    BOOST_TEST(load.figure("failed") == 2);
}

BOOST_AUTO_TEST_CASE(pipelined_requests_cut_off_fail_one_by_one) {
    Server server;
    Load load({"-n", "3", "-p", "3", server.at()});
    run(load, server, [&] {
        Peer peer = server.accept();
        for (int i = 0; i < 3; ++i) peer.read_request();
        peer.say_and_close(answer + answer.substr(0, 10));
    });
    BOOST_TEST(load.figure("answered") == 1);
    BOOST_TEST(load.fresh("truncated") == 1);
    BOOST_TEST(load.fresh("end_of_stream") == 1);
    BOOST_TEST(load.figure("failed") == 2);
}

BOOST_AUTO_TEST_CASE(a_thinking_client_sees_a_clean_close_before_it_sends) {
    Server server;
    Load load({"-n", "4", "--think", "1ms", server.at()});
    run(load, server, [&] {
        for (int i = 0; i < 4; ++i) {
            Peer peer = server.accept();
            peer.read_request();
            peer.say_and_close(answer);  // without a word of it in the answer
        }
    });
    BOOST_TEST(load.figure("answered") == 4);
    BOOST_TEST(load.figure("failed") == 0);
    BOOST_TEST(load.figure("closes_while_idle") == 4);
}

BOOST_AUTO_TEST_CASE(an_answer_of_an_older_generation_on_a_newer_connection_is_stale) {
    Server server;
    Load load({"-n", "20", "-1", "--generation-header", "X-Generation", server.at()});
    run(load, server, [&] {
        for (int i = 0; i < 20; ++i) {
            Peer peer = server.accept();
            peer.read_request();
            if (i == 10) load.tell("2\n");
            const char* generation = i < 15 ? "1" : "2";
            peer.say_and_close("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Generation: " +
                               std::string(generation) + "\r\n\r\nhello");
        }
    });
    BOOST_TEST(load.fresh("stale_generation") == 4);  // those from 11 to 14; 10 connected before
    BOOST_TEST(load.figure("answered") == 16);
}

BOOST_AUTO_TEST_CASE(a_board_is_greeted_by_and_may_say_goodbye) {
    Server server;
    Load load({"-n", "2", "--think", "1ms", "--numbers", "1", server.at("board")});
    std::thread thread([&] {
        for (int i = 0; i < 3; ++i) {  // the first is the probe
            Peer peer = server.accept();
            peer.say("0.0 welcome\n");
            peer.read_request("\n");
            peer.say_and_close("2.0 MESSAGE 1 nobody/hello\n4.0 BYE restarting\n");
        }
    });
    load.finish();
    thread.join();
    BOOST_TEST(load.figure("answered") == 2);
    BOOST_TEST(load.figure("failed") == 0);
    BOOST_TEST(load.figure("closes_announced") == 2);
}

BOOST_AUTO_TEST_CASE(a_server_that_is_not_there_is_told_before_anything_is_measured) {
    Server server;
    server.stop_listening();
    Load load({"-n", "1", server.at()});
    load.finish();
    BOOST_TEST(load.exit_code == 1);
}

BOOST_AUTO_TEST_SUITE_END()
