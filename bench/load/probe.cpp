#include "bench/load/probe.hpp"

#include <fmt/format.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include "shared/unique_fd.hpp"

namespace preforkd::bench {
namespace {

class Probe {
  public:
    Probe(const Protocol& protocol, const Options& options)
        : options_(options), reader_(protocol.make_reader()) {}

    void connect(const Endpoint& endpoint) {
        fd_.reset(::socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options_.timeout);
        const timeval limit{seconds.count(), (options_.timeout - seconds).count() / 1000};
        if (!fd_.is_open() ||
            ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
            ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
            ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&endpoint.address),
                      endpoint.length) != 0)
            give_up("can't connect");
    }

    void send(const std::string& request) {
        if (::send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
            ssize_t(request.size()))
            give_up("can't send");
    }

    Reply receive(std::uint64_t number) {
        std::optional<Reply> reply;
        std::string buffer(64 * 1024, '\0');
        while (!reply) {
            const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
            if (got < 0) give_up("no answer");
            if (got == 0) reply = reader_->at_end_of_stream();
            if (got == 0 && !reply) fail("closed the connection without a whole answer");
            if (got > 0)
                reader_->read(std::string_view(buffer).substr(0, std::size_t(got)), number, reply);
        }
        return *reply;
    }

    ReplyReader& reader() { return *reader_; }

    [[noreturn]] void fail(const std::string& why) const {
        throw std::runtime_error(fmt::format("{}: {}", options_.url.text, why));
    }

  private:
    [[noreturn]] void give_up(const char* what) const {
        fail(errno == EAGAIN || errno == EINPROGRESS
                 ? fmt::format("{} within the time-out", what)
                 : fmt::format("{}: {}", what, std::strerror(errno)));
    }

    const Options& options_;
    std::unique_ptr<ReplyReader> reader_;
    UniqueFd fd_;
};

}  // namespace

void probe(Protocol& protocol, const Endpoint& endpoint, const Options& options) {
    Probe first(protocol, options);
    std::string body;
    if (ContentCheck* check = first.reader().body()) check->copy_to(body);
    first.connect(endpoint);
    if (protocol.server_greets() && first.receive(0).failure)
        first.fail("the first line is not the board's greeting '0.0 ...'");
    Random random(1);
    std::string request;
    const std::uint64_t number = protocol.request().append_to(request, random);
    first.send(request);
    const Reply reply = first.receive(number);
    if (reply.failure)
        first.fail(
            fmt::format("the first answer is wrong ({}); ask by hand and compare with --status, "
                        "--content or --command",
                        failure_names[std::size_t(*reply.failure)]));
    if (protocol.request().varies()) return;
    if (!protocol.expectation.length) protocol.expectation.length = body.size();
    if (options.check_content && !protocol.expectation.content)
        protocol.expectation.content = std::move(body);
}

}  // namespace preforkd::bench
