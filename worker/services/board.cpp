#include "worker/services/board.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <preforkd/asio.hpp>
#include <set>
#include <utility>

#include "shared/exit_code.hpp"
#include "worker/services/board_links.hpp"
#include "worker/services/connection_limit.hpp"

namespace preforkd::worker {

using namespace board;
using boost::asio::posix::stream_descriptor;

namespace {

// With a few more replies, what is gathered still fits the shared buffer.
constexpr std::size_t most_gathered = 28 * 1024;

// Longer than any process that is stopped in its turn should make others wait.
constexpr milliseconds patience{5000};

class Counted {
  public:
    explicit Counted(Counter& count) noexcept : count_(count) { count_.add(); }
    ~Counted() { count_.subtract(1); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

  private:
    Counter& count_;
};

}  // namespace

/// That a file is open in this process. It must not be twice: whoever closes one of the two would
/// take LMDB's locks away from the other. Source: lmdb.h, Caveats; fcntl(2), Record locking.
class Board::FileUse {
  public:
    FileUse(int descriptor, const std::string& name) {
        struct stat status {};
        ::fstat(descriptor, &status);
        file_ = {status.st_dev, status.st_ino};
        if (!files().insert(file_).second)
            throw StartupError(exit_configuration,
                               name +
                                   ": two listeners of one pool serve it; let one listener "
                                   "have both addresses, or give each listener its own workers");
    }
    ~FileUse() { files().erase(file_); }
    FileUse(const FileUse&) = delete;
    FileUse& operator=(const FileUse&) = delete;

  private:
    using File = std::pair<dev_t, ino_t>;
    static std::set<File>& files() {
        static std::set<File> all;
        return all;
    }
    File file_;
};

/// Awaited while a connection's messages are being written.
class Board::Writing {
  public:
    Writing(Board& all, std::shared_ptr<WriteJob> job)
        : board_(all), job_(std::move(job)), counted_(all.writing_) {}
    ~Writing() {
        if (!is_done_) job_->on_done = nullptr;  // the connection is gone before its messages
    }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
        job_->on_done = [this, waiter] {
            is_done_ = true;
            waiter.resume();
        };
        board_.submit(job_);
    }
    void await_resume() const noexcept {}

  private:
    Board& board_;
    std::shared_ptr<WriteJob> job_;
    Counted counted_;
    bool is_done_ = false;
};

std::vector<Metric> Board::metrics() {
    using Kind = Metric::Kind;
    return {{"messages_stored", Kind::counter, "Messages that were written or replaced."},
            {"messages_refused", Kind::counter, "Messages that could not be stored."},
            {"transactions", Kind::counter,
             "Transactions that stored them; with sync = always each waits for the disk."},
            {"watchers", Kind::gauge, "Connections that are shown new messages."}};
}

// ---- A worker's beginning and end ----

void Board::start(ServiceContext& context) {
    context_ = &context;
    const Options& options = context.options<Options>();
    max_line_ = options.max_line.value;
    idle_timeout_ = options.idle_timeout;
    send_timeout_ = options.send_timeout;
    max_connections_ = connection_limit(context, options.max_connections, 0);
    stored_ = &context.counter("messages_stored");
    refused_ = &context.counter("messages_refused");
    transactions_ = &context.counter("transactions");
    watchers_ = &context.gauge("watchers");
    open(options);
    if (!store_->read_only_reason().empty())
        context.log(LogLevel::error,
                    fmt::format("{}: the board can only be read: {}", options.file.string(),
                                store_->read_only_reason()));
    if (!watch_->fault().empty())
        context.log(
            LogLevel::warning,
            fmt::format("WATCH is refused: inotify: {}; raise fs.inotify.max_user_instances",
                        watch_->fault()));
    spawn(deliver());
}

void Board::confined() {
    writer_->start();
}

void Board::open(const Options& options) {
    StoreOptions wanted;
    wanted.shown_as = options.file.string();
    wanted.create = true;
    wanted.durable = options.sync.mode == SyncPolicy::Mode::always;
    const int data = context_->descriptor("file");
    const int lock = context_->descriptor("file-lock");
    wanted.lockless = lock < 0;
    file_use_ = std::make_shared<FileUse>(data, wanted.shown_as);
    const DescriptorLinks links(data, lock);
    store_ = std::make_unique<Store>(links.path(), wanted);
    reader_ = std::make_unique<Reader>(*store_);
    const Report report = [this](LogLevel level, const std::string& text) {
        context_->log(level, text);
    };
    clerk_ = std::make_unique<Clerk>(*reader_, report);
    turn_limit_ = std::make_unique<TurnLimit>(longest_turn);
    writer_ = std::make_unique<Writer>(*store_, options.sync, report, turn_limit_.get());
    watch_ = std::make_unique<Watch>(store_->descriptor());
}

void Board::stop() {
    writer_.reset();
}

// ---- A connection ----

task<void> Board::serve(Connection& client) {
    const Counted counted(connections_);
    if (connections_.get() > max_connections_) {
        append_error(out_, Verb::unknown, "too many connections; come back later");
        say(client);
        client.linger();
        co_return;
    }
    client.send_timeout(send_timeout_);
    client.read_timeout(idle_timeout_);
    append_greeting(out_);
    say(client);
    Visit visit(max_line_);
    for (;;) {
        switch (answer(visit, client)) {
            case Step::read: {
                // A command of which something is there is waited for, whoever leaves.
                const auto rule = visit.reader.is_between_lines() ? OnDrain::grace : OnDrain::wait;
                if (co_await client.fill(rule)) break;
                say_bye(client);
                co_return;
            }
            case Step::flush:
                if (!co_await client.flush()) co_return;
                break;
            case Step::write: {
                Writing writing(*this, visit.job);
                co_await writing;
                count(*visit.job);
                clerk_->answer_writes(visit, out_);
                say(client);
                break;
            }
            case Step::watch:
                if (!co_await watch(visit, client)) co_return;
                break;
            case Step::close:
                client.linger();
                co_return;
        }
    }
}

/// Answers what has been received, as far as that needs no wait.
Board::Step Board::answer(Visit& visit, Connection& client) {
    std::string_view received = client.received();
    const std::size_t size = received.size();
    const std::uint32_t before = visit.commands;
    const std::size_t room = most_gathered - std::min(client.unsent(), most_gathered);
    Step step = clerk_->answer(visit, received, out_, room);
    client.consume(size - received.size());
    for (std::uint32_t i = before; i != visit.commands; ++i) client.count_request();
    // Whoever has just been answered hears of the drain with the answer, so that no command of a
    // client that takes turns can cross the goodbye.
    if (step == Step::read && client.draining() && client.unsent() + out_.size() > 0 &&
        visit.reader.is_between_lines() && visit.commands > 0) {
        append_bye(out_, "restarting");
        step = Step::close;
    }
    say(client);
    return step;
}

void Board::count(const WriteJob& job) {
    for (const WriteRequest& request : job.requests)
        if (!request.error)
            stored_->add();
        else if (request.error != StoreError::unknown_number)
            refused_->add();
}

/// Shows new messages until a line comes, which is then answered; false when the connection is to
/// end.
task<bool> Board::watch(Visit& visit, Connection& client) {
    if (!watch_->fault().empty()) {
        append_error(out_, Verb::watch, "not possible now: " + watch_->fault());
        say(client);
        co_return true;
    }
    const Watch::Place place(*watch_, client);
    const Counted watching(*watchers_);
    clerk_->begin_watch(visit);
    client.read_timeout(seconds(0));
    bool goes_on = true;
    while (goes_on) {
        const bool is_all = clerk_->show_new(visit, out_, most_gathered);
        say(client);
        // A line that came with the WATCH ends it where one that comes just after would.
        const bool has_line = client.received().find('\n') != std::string_view::npos;
        if (has_line && (is_all || visit.has_shown_past())) break;
        if (!is_all) {
            if (!co_await client.flush()) co_return false;
            continue;
        }
        const bool has_more = co_await client.fill(OnDrain::wake);
        if (!has_more && client.why() == End::too_long) break;
        goes_on = has_more || client.why() == End::woken;
    }
    client.read_timeout(idle_timeout_);
    visit.has_watched = true;
    append_end(out_, visit.listed);
    say(client);
    if (!goes_on) say_bye(client);
    co_return goes_on;
}

/// Nothing more is read; says why, if anybody may still hear it.
void Board::say_bye(Connection& client) {
    if (client.why() == End::draining) append_bye(out_, "restarting");
    if (client.why() == End::deadline) append_bye(out_, "you were silent for too long");
    say(client);
    client.linger();
}

void Board::say(Connection& client) {
    client.put(out_);
    out_.clear();
}

// ---- Writing ----

void Board::submit(std::shared_ptr<WriteJob> job) {
    writer_->submit(std::move(job));
    if (!std::exchange(keeps_turn_, true)) spawn(keep_turn());
}

task<void> Board::deliver() {
    stream_descriptor written(executor(), ::dup(writer_->descriptor()));
    written.non_blocking(true);  // at once: Asio would later, when this worker is confined
    for (;;) {
        const error_code error =
            co_await written.async_wait(stream_descriptor::wait_read, use_task);
        if (error) co_return;
        writer_->deliver();
        transactions_->set(writer_->commits());
    }
}

/// While anything is being written: shows that this event loop lives.
task<void> Board::keep_turn() {
    boost::asio::steady_timer timer(executor());
    while (writing_.get() > 0) {
        timer.expires_after(longest_turn / 3);
        (void)co_await timer.async_wait(use_task);
        turn_limit_->extend();
        if (writer_) writer_->tell_of_waiting(patience);
    }
    keeps_turn_ = false;
}

}  // namespace preforkd::worker
