#pragma once

#include <array>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace preforkd {

enum class LogLevel;
class Connection;

/// Why a read or a write gave nothing.
enum class End : std::uint8_t {
    none,       ///< nothing has ended
    peer_left,  ///< the peer has sent everything it will send; it may still be reading
    reset,      ///< the connection is broken: reset, timed out by the kernel, or closed by the peer
    deadline,   ///< the time given by deadline(), read_timeout() or send_timeout() is over
    too_long,   ///< what was asked for is longer than its limit; the bytes are still unread
    draining,   ///< this worker leaves: say goodbye and return from serve()
    woken,      ///< Connection::wake() was called
    truncated,  ///< send_file(): the file is shorter than it was said to be
};

[[nodiscard]] std::string_view to_string(End end) noexcept;

/// What a read does when its worker is leaving and no byte of the next message is there.
/// A message of which something has been received is always waited for.
enum class OnDrain : std::uint8_t {
    wait,   ///< goes on waiting: right in the middle of a message
    grace,  ///< right between messages of a protocol that can say goodbye: a client that was idle
            ///< gets `keepalive_grace` to send one more; one that was answered since the drain
            ///< began has had it
    idle,   ///< ends when nothing comes for `keepalive_grace`: right for streams without messages,
            ///< and where a client can't be told, for one that goes on sending is served
    wake,   ///< ends at once
};

/// An IP address as text, without an allocation.
class IpText {
  public:
    IpText() noexcept = default;
    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }
    operator std::string_view() const noexcept { return view(); }

  private:
    friend class Connection;
    std::array<char, 47> text_{};
    std::uint8_t size_ = 0;
};

namespace detail {

/// Something a service awaits on its connection. It is tried at once and costs no suspension if it
/// can be done at once; else it is tried again whenever the socket is ready.
class Operation {
  public:
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    bool await_ready();
    void await_suspend(std::coroutine_handle<> waiter);

    /// One attempt; true when there is a result, a failure included.
    virtual bool advance() = 0;

    /// The wait is to end soon, for a reason that advance() will find.
    virtual void interrupt() {}

  protected:
    explicit Operation(Connection& connection) noexcept : connection_(connection) {}
    ~Operation() = default;

    Connection& connection_;
};

class [[nodiscard]] Fill final : public Operation {
  public:
    Fill(Connection& connection, OnDrain rule) noexcept;
    bool advance() override;
    bool await_resume() noexcept { return succeeded_; }

  private:
    std::uint32_t seen_;
    OnDrain rule_;
    bool succeeded_ = false;
};

class [[nodiscard]] ReadSome final : public Operation {
  public:
    ReadSome(Connection& connection, std::size_t limit, OnDrain rule) noexcept;
    bool advance() override;
    std::optional<std::string_view> await_resume() noexcept;

  private:
    std::size_t limit_;
    OnDrain rule_;
    bool succeeded_ = false;
};

class [[nodiscard]] ReadExact final : public Operation {
  public:
    ReadExact(Connection& connection, std::span<char> into, OnDrain rule) noexcept;
    bool advance() override;
    bool await_resume() noexcept { return into_.empty(); }

  private:
    std::span<char> into_;
    OnDrain rule_;
};

class ReadUntil : public Operation {
  public:
    ReadUntil(Connection& connection, std::string_view delimiter, std::size_t limit,
              OnDrain rule) noexcept;
    bool advance() final;
    std::optional<std::string_view> await_resume() noexcept;

  protected:
    ~ReadUntil() = default;

  private:
    std::string_view delimiter_;
    std::uint32_t limit_;
    std::uint32_t searched_ = 0;
    std::uint32_t found_ = 0;
    OnDrain rule_;
};

class [[nodiscard]] ReadDelimited final : public ReadUntil {
  public:
    using ReadUntil::ReadUntil;
};

class [[nodiscard]] ReadLine final : public ReadUntil {
  public:
    ReadLine(Connection& connection, std::size_t limit, OnDrain rule) noexcept
        : ReadUntil(connection, "\n", limit, rule) {}
    std::optional<std::string> await_resume();
};

class [[nodiscard]] ReadString final : public Operation {
  public:
    ReadString(Connection& connection, std::size_t size, OnDrain rule);
    bool advance() override;
    std::optional<std::string> await_resume();

  private:
    std::string text_;
    std::size_t missing_;
    OnDrain rule_;
};

class Write final : public Operation {
  public:
    Write(Connection& connection, std::string_view bytes) noexcept
        : Operation(connection), bytes_(bytes) {}
    bool advance() override;
    bool await_resume() noexcept { return succeeded_; }

  private:
    std::string_view bytes_;
    bool sending_ = false;
    bool succeeded_ = false;
};

class Flush final : public Operation {
  public:
    Flush(Connection& connection, bool half_close) noexcept
        : Operation(connection), half_close_(half_close) {}
    bool advance() override;
    bool await_resume() noexcept { return succeeded_; }

  private:
    bool half_close_;
    bool succeeded_ = false;
};

class [[nodiscard]] SendFile final : public Operation {
  public:
    SendFile(Connection& connection, int file, std::uint64_t offset, std::uint64_t count,
             std::string_view mapped) noexcept
        : Operation(connection), file_(file), offset_(offset), left_(count), mapped_(mapped) {}
    bool advance() override;
    bool await_resume() noexcept { return succeeded_; }

  private:
    int file_;
    std::uint64_t offset_;
    std::uint64_t left_;
    std::string_view mapped_;
    bool succeeded_ = false;
};

struct SleepTimer;

class Sleep final : public Operation {
  public:
    Sleep(Connection& connection, std::chrono::milliseconds duration) noexcept
        : Operation(connection), duration_(duration) {}
    ~Sleep();
    bool advance() override;
    void interrupt() override;
    bool await_resume() noexcept { return succeeded_; }

  private:
    std::chrono::milliseconds duration_;
    std::shared_ptr<SleepTimer> timer_;
    bool succeeded_ = false;
};

}  // namespace detail

/// One client, as its service sees it. Lives as long as the service's serve() runs; not shared
/// between threads. One operation may be awaited at a time.
///
/// Views of received bytes are valid until the next co_await, whatever it awaits: the bytes lie in
/// a buffer that the worker's connections share, and move when another one needs it.
///
/// What is written is gathered and leaves with one send when the service next has to wait for
/// input, at flush(), at the end of serve(), or when it exceeds 64 KiB.
class Connection {
  public:
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// So much can be received without being consumed, in bytes: the largest possible message of
    /// fill() and read_until().
    static constexpr std::size_t receive_capacity = 65536;
    static constexpr std::size_t default_line_limit = 8192;

    // --- reading: the primitive that parsers use ---

    /// All that has been received and not yet consumed, in one piece.
    [[nodiscard]] std::string_view received() const noexcept {
        return {begin_, static_cast<std::size_t>(end_ - begin_)};
    }

    /// Takes the first `size` bytes away. Requires: size <= received().size().
    void consume(std::size_t size) noexcept { begin_ += size; }

    /// Waits until received() has grown. True when it has; else why() tells: peer_left, reset,
    /// deadline, too_long (receive_capacity bytes are unconsumed), draining, woken.
    detail::Fill fill(OnDrain rule = OnDrain::wait) noexcept { return {*this, rule}; }

    // --- reading: on top of it; each consumes what it gives, and gives nothing of a message whose
    // end never came (those bytes stay in received()) ---

    /// Whatever comes next, from 1 to `limit` bytes.
    detail::ReadSome read_some(std::size_t limit = receive_capacity,
                               OnDrain rule = OnDrain::idle) noexcept {
        return {*this, limit, rule};
    }

    /// Fills `into`; true when it is full.
    detail::ReadExact read_exact(std::span<char> into, OnDrain rule = OnDrain::wait) noexcept {
        return {*this, into, rule};
    }

    /// Exactly `size` bytes, in memory of their own that grows as they come.
    detail::ReadString read_exact(std::size_t size, OnDrain rule = OnDrain::wait) {
        return {*this, size, rule};
    }

    /// Up to and including `delimiter` (not empty, must outlive the wait), at most `limit` bytes
    /// with it, and receive_capacity at most.
    detail::ReadDelimited read_until(std::string_view delimiter, std::size_t limit,
                                     OnDrain rule = OnDrain::idle) noexcept {
        return {*this, delimiter, limit, rule};
    }

    /// The next line without its LF or CR LF; at most `limit` bytes with them.
    detail::ReadLine read_line(std::size_t limit = default_line_limit,
                               OnDrain rule = OnDrain::idle) noexcept {
        return {*this, limit, rule};
    }

    /// Why the last operation that gave nothing did so.
    [[nodiscard]] End why() const noexcept { return why_; }

    // --- writing ---

    /// Gathers `bytes`, copied; false when the connection is broken or the time is over. Waits only
    /// when more is gathered than the peer takes; bytes that don't fit are sent from where they
    /// lie, so they must live until then, as the operands of a co_await expression do.
    detail::Write write(std::string_view bytes) noexcept { return {*this, bytes}; }

    /// Gathers `bytes`, copied, without ever waiting. For pieces of a bounded size: what exceeds
    /// the shared buffer takes memory of the connection's own until something is awaited.
    void put(std::string_view bytes);

    /// Room for `size` bytes right behind what is gathered, to render into; commit() then tells how
    /// many were used. Valid until the next call of anything here. size <= 16384.
    [[nodiscard]] char* prepare(std::size_t size);
    void commit(std::size_t size) noexcept;

    /// Bytes gathered or refused by the kernel so far, not yet sent.
    [[nodiscard]] std::size_t unsent() const noexcept;

    /// Sends what was gathered; true when the kernel has all of it.
    detail::Flush flush() noexcept { return {*this, false}; }

    /// Sends what was gathered, then `count` bytes of `file` from `offset` without copying them;
    /// what was gathered shares the file's first packet. The file's own position doesn't move.
    /// `mapped` shows the same bytes in memory, or is empty: of some 100 KiB the kernel copies them
    /// from there for less than sendfile(2) costs, and what it doesn't take at once goes by that.
    /// Nothing reads them here, where a file that was cut would kill by SIGBUS.
    /// why() after false: reset, deadline, truncated. Source: sendfile(2), MSG_MORE; mmap(2).
    detail::SendFile send_file(int file, std::uint64_t offset, std::uint64_t count,
                               std::string_view mapped = {}) noexcept {
        return {*this, file, offset, count, mapped};
    }

    /// Sends what was gathered, then tells the peer that nothing more comes. Reading goes on.
    detail::Flush shutdown_write() noexcept { return {*this, true}; }

    // --- how it ends ---

    /// When serve() returns: half-close, then read and discard what the peer still sends, bounded
    /// in time and size, so that the close is no reset that could cost the peer the last answer.
    /// Done unasked when bytes are unread or the worker is leaving. RFC 9112 section 9.6.
    void linger() noexcept;

    /// When serve() returns: reset, throwing away what is unsent.
    void abort() noexcept;

    // --- time; all coarse: what ends, ends up to a second late and never early ---

    /// No read or write waits longer than `from_now`; holds until changed.
    void deadline(std::chrono::seconds from_now) noexcept;
    void no_deadline() noexcept;

    /// How long one read may take as a whole, however slowly its bytes come. 0 = for ever.
    /// Default: 5 minutes. Range: up to 18 hours.
    void read_timeout(std::chrono::seconds each) noexcept;

    /// In each such time the peer must take 1 KiB a second. 0 = for ever. Default: 30 seconds.
    void send_timeout(std::chrono::seconds each) noexcept;

    /// Sends what was gathered and resumes after `duration`; false when ended before by a reset,
    /// the drain's end, or wake().
    detail::Sleep sleep_for(std::chrono::milliseconds duration) noexcept {
        return {*this, duration};
    }

    // --- the worker around it ---

    /// True once the worker is leaving: finish this message, then say goodbye.
    [[nodiscard]] bool draining() const noexcept;

    /// Ends the read or sleep that this connection's service is waiting in, or the next one that
    /// would wait, with End::woken. For other coroutines of this worker.
    void wake() noexcept;

    /// Counts one more request served, for `max_requests` and the metrics, and with it the time
    /// from its first bytes' arrival to the moment when the kernel has all of its answer. `status`:
    /// as in HTTP, counted by its first digit; 0: the protocol has none.
    void count_request(unsigned status = 0);

    // --- who ---

    /// Number of this connection in this worker, from 1.
    [[nodiscard]] std::uint64_t id() const noexcept;

    /// "192.0.2.1:5000", "[2001:db8::1]:5000" or "unix".
    [[nodiscard]] std::string peer() const;
    [[nodiscard]] std::string local() const;

    /// "192.0.2.1" or "2001:db8::1"; "unix" for a unix socket. No system call, no allocation.
    [[nodiscard]] IpText peer_ip() const noexcept;

    /// 0 for a unix socket.
    [[nodiscard]] std::uint16_t peer_port() const noexcept;

    /// NAME of the `[listen.NAME]` section it came through.
    [[nodiscard]] const std::string& listener_name() const noexcept;

    /// One line in the error log with service, listener and peer.
    void log(LogLevel level, std::string_view text) const;

    /// The socket itself, for getsockopt(2) and the like; reading or writing it breaks the rest.
    [[nodiscard]] int descriptor() const noexcept;

  protected:
    Connection() noexcept = default;
    ~Connection() = default;

    const char* begin_ = nullptr;
    const char* end_ = nullptr;
    End why_ = End::none;
    // The session's, here because they fit into the word that is begun: a worker has thousands.
    std::uint16_t read_timeout_ = 0;  // ticks
    std::uint16_t send_timeout_ = 0;  // ticks
    std::uint16_t unsettled_ = 0;     // requests counted whose answers may not be out yet
};

}  // namespace preforkd
