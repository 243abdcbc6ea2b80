#pragma once

#include <preforkd/connection.hpp>
#include <preforkd/task.hpp>

#include "worker/session_group.hpp"

namespace preforkd::worker {

/// One connection: its socket, what has been received and not consumed, what is written and not
/// sent, and the service's coroutine. Owns itself: it is deleted when that has ended and the last
/// byte is out. Kept small, because a worker holds thousands that do nothing.
class Session final : public Connection,
                      public Readiness<Session>,
                      public WheelEntry,
                      private preforkd::detail::TaskObserver {
    using Operation = preforkd::detail::Operation;

  public:
    static void* operator new(std::size_t size) { return preforkd::detail::allocate_frame(size); }
    static void operator delete(void* memory, std::size_t size) noexcept {
        preforkd::detail::release_frame(memory, size);
    }

    Session(const Listener& listener, UniqueFd socket, const PeerAddress& peer);

    static Session& of(Connection& connection) noexcept {
        return static_cast<Session&>(connection);
    }
    static const Session& of(const Connection& connection) noexcept {
        return static_cast<const Session&>(connection);
    }

    /// Runs the service up to its first wait. The session may be gone when this returns.
    void begin();

    // --- from the event loop ---

    /// What was waited for may have come: tries again. The session may be gone afterwards.
    void on_ready();
    /// A tick that this session asked to be looked at. Never destroys it.
    void on_tick();
    void on_drain();
    void on_cut();

    /// Destroys the coroutine and closes the socket; the session's memory stays.
    void abandon() noexcept;

    // --- for operations ---

    /// What one attempt came to.
    enum class Attempt : std::uint8_t { done, failed, wait };

    /// The operation is awaited: tries it, true when it needs no wait.
    bool attempt(Operation& operation);
    void suspend(Operation& operation, std::coroutine_handle<> waiter);

    /// Sends what is gathered, then tries to receive. done: received() has grown; failed: see
    /// why(); wait: suspend.
    Attempt receive_more(OnDrain rule);

    /// Sends what is gathered and then `more`, which advances past what the kernel took.
    Attempt send(std::string_view& more, int flags = 0);
    Attempt send_gathered(int flags = 0);
    Attempt send_file_part(int file, std::uint64_t& offset, std::uint64_t& left);
    Attempt send_mapped_part(int file, std::uint64_t& offset, std::uint64_t& left,
                             std::string_view mapped);
    Attempt half_close();

    /// Keeps bytes that lie in the shared input buffer, when their owner must wait.
    void keep_if_shared(std::string_view& bytes);

    Attempt fail(End reason) noexcept;
    Attempt wait_for_timer() noexcept;
    Attempt yield() noexcept;

    [[nodiscard]] bool fits_gathered(std::size_t size) const noexcept;
    [[nodiscard]] bool broken() const noexcept { return broken_; }
    bool take_woken() noexcept;
    [[nodiscard]] SessionGroup& group() const noexcept { return *listener_.group; }

    // --- for Connection ---

    void put(std::string_view bytes);
    char* prepare(std::size_t size);
    void commit(std::size_t size) noexcept;
    [[nodiscard]] std::size_t unsent() const noexcept { return gathered().size(); }
    void set_linger() noexcept { linger_ = true; }
    void set_reset() noexcept { reset_ = true; }
    void set_deadline(Tick deadline) noexcept { deadline_ = deadline; }
    void set_read_timeout(std::uint16_t ticks) noexcept { read_timeout_ = ticks; }
    void set_send_timeout(std::uint16_t ticks) noexcept { send_timeout_ = ticks; }
    void wake();
    /// Its duration is counted when all that is received has been answered.
    void count_request(unsigned status_code);
    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
    [[nodiscard]] const Listener& listener() const noexcept { return listener_; }
    [[nodiscard]] const PeerAddress& peer() const noexcept { return peer_; }

    /// Another session takes the shared buffer: saves what is needed of it.
    void save_input();
    void save_output();

  private:
    /// What doesn't stay in the shared buffers while this session waits in the middle of something.
    struct Kept {
        std::unique_ptr<char[]> input;  ///< what is unconsumed
        std::string output;             ///< what is unsent, and then room that is prepared
        std::size_t prepared = 0;
    };

    enum class Need : std::uint8_t { readable, writable, turn, timer };
    enum class Stage : std::uint8_t {
        serving,
        sending,    ///< the service is done; the rest of the output is on its way
        lingering,  ///< half-closed; what the peer still sends is discarded
        doomed,     ///< ends as soon as the pending wait lets go of it
    };

    void task_ended(std::exception_ptr failure) noexcept override;
    void log_failure(const std::exception_ptr& failure) const;

    // session.cpp: waiting
    void start_wait();
    void begin_wait_time() noexcept;
    void end_wait();
    void schedule();
    [[nodiscard]] Tick wait_limit() const noexcept;
    [[nodiscard]] Tick grace_limit() const noexcept;
    [[nodiscard]] End reason_not_to_wait() noexcept;
    [[nodiscard]] bool waits_for_message() const noexcept;
    bool take_timed_out() noexcept;
    void check_for_end();
    void check_pace();

    // session_end.cpp
    void finish();
    void linger_on();
    bool discard_input();
    [[nodiscard]] bool must_linger() const noexcept;
    void close() noexcept;
    void leave_buffers() noexcept;

    // session_account.cpp
    void note_input(std::string_view bytes) noexcept;
    void settle() noexcept;

    // session_input.cpp
    void take_input();
    void receive();
    Kept& keep();
    void keep_less() noexcept;

    // session_output.cpp
    [[nodiscard]] std::string_view gathered() const noexcept;
    void take_output();
    void drop_gathered(std::size_t size);
    void break_connection() noexcept;
    Attempt blocked() noexcept;

    // Ordered so that the small ones share words.
    OnDrain rule_ = OnDrain::wait;
    Need need_ = Need::readable;
    Stage stage_ = Stage::serving;
    bool waiting_ : 1 = false;     // on_ready() will be called
    bool drained_ : 1 = false;     // the last recv took all there was
    bool unverified_ : 1 = false;  // ... but an end that came with it would have made no event
    bool input_ended_ : 1 = false;
    bool broken_ : 1 = false;
    bool timed_out_ : 1 = false;
    bool woken_ : 1 = false;
    bool linger_ : 1 = false;
    bool reset_ : 1 = false;
    bool half_closed_ : 1 = false;
    bool came_in_drain_ : 1 = false;
    bool heard_in_drain_ : 1 = false;
    bool blocked_ : 1 = false;    // output waits for the peer; wait_until_ stands until it is out
    bool busy_ : 1 = false;       // something was received that is not answered yet
    bool paced_ : 1 = false;      // acknowledged_ is set
    std::uint8_t failures_ = 0;   // operations that failed on a connection which has ended
    std::uint16_t attempts_ = 0;  // operations since the last wait
    UniqueFd socket_;
    Tick deadline_ = never;
    Tick read_until_ = never;
    Tick wait_until_ = never;
    std::uint32_t acknowledged_ = 0;  // what the peer's kernel had when its pace was last looked at
    PeerAddress peer_;
    std::uint32_t busy_since_ = 0;  // in units of 1024 ns
    const Listener& listener_;
    std::uint64_t id_;
    std::unique_ptr<Kept> kept_;
    Operation* operation_ = nullptr;
    std::coroutine_handle<> waiter_;
    task<void> task_;
};

}  // namespace preforkd::worker
