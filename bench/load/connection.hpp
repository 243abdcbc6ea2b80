#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/pacer.hpp"
#include "bench/load/protocol.hpp"
#include "bench/load/socket.hpp"
#include "bench/load/tally.hpp"

namespace preforkd::bench {

class Connection;

/// What the connections of one thread share.
class Crew {
  public:
    Crew(const Options& run_options, const Protocol& run_protocol, const Endpoint& server,
         const std::atomic<std::uint64_t>& generation, std::uint64_t seed);
    virtual ~Crew() = default;

    /// Asked before each batch; false: the connection stays idle for good.
    virtual bool may_send() = 0;

    /// `connection` has had all its answers, or has failed; `pause`: because it could not connect.
    virtual void on_free(Connection& connection, TimePoint now, bool pause) = 0;

    const Options& options;
    const Protocol& protocol;
    const Endpoint& endpoint;
    const std::atomic<std::uint64_t>& serving_generation;  ///< the newest that was announced
    const std::string batch;  ///< --pipeline requests in a row, when all are alike
    std::string scratch;      ///< room for those that vary
    Random random;
    std::vector<char> buffer = std::vector<char>(256 * 1024);
    Tally tally;
    TimePoint end = TimePoint::max();  ///< answers that come later aren't counted
};

/// One of the load's connections: sends a batch of requests, reads the answers, accounts for each.
class Connection final : public Sender, private Socket::Owner {
  public:
    Connection(Crew& crew, boost::asio::io_context& context);

    void send_now(TimePoint due, bool waited) override;

    /// To be called every tenth of a second or so: ends what has taken too long.
    void check_time(TimePoint now);

    /// Before the account is closed: whether the server has closed meanwhile. Requires: not busy.
    void look_for_close();

    [[nodiscard]] bool is_busy() const noexcept { return state_ != State::idle; }

    /// Whether it has ever been through a batch, well or badly.
    [[nodiscard]] bool was_tried() const noexcept { return was_tried_; }

  private:
    enum class State { idle, greeting, sending, receiving };

    void on_ready(bool cancelled) override;
    void open();
    void send_batch();
    void send_rest();
    void receive();
    void receive_nothing(int error);
    bool consume(std::string_view bytes, TimePoint now);
    void greeted(const Reply& reply, TimePoint now);
    void settle(const Reply& reply, TimePoint now);
    void finish_batch(std::string_view rest, bool closes, TimePoint now);
    void fail_rest(Failure first, Failure others);
    void finish(TimePoint now, bool keep_open, bool pause = false);
    void close();
    [[nodiscard]] Carrier carrier() const noexcept {
        return carried_before_ ? Carrier::reused_connection : Carrier::fresh_connection;
    }

    Crew& crew_;
    std::unique_ptr<ReplyReader> reader_;
    Socket socket_;
    State state_ = State::idle;
    bool timed_out_ = false;
    bool was_tried_ = false;
    bool carried_before_ = false;  // an earlier batch went over this connection
    unsigned outstanding_ = 0;     // requests of the batch without their answer
    TimePoint due_;                // of the batch
    TimePoint sent_at_;            // when it really went out
    TimePoint checked_at_;         // when the reader was last seen inside an answer
    std::uint64_t generation_at_open_ = 0;
    std::string unsent_;                  // the tail of a batch that the kernel didn't take
    std::vector<std::uint64_t> numbers_;  // the {n} of each request of the batch
};

}  // namespace preforkd::bench
