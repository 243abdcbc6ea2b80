#include "worker/services/http.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "shared/log.hpp"
#include "worker/services/connection_limit.hpp"
#include "worker/services/http_body.hpp"

namespace preforkd::worker {

using namespace http;

namespace {

// With one more response from memory, what is gathered still fits the shared buffer.
constexpr std::size_t most_gathered = 28 * 1024;

// To parse less than this again costs less than to receive it. Unit: bytes.
constexpr std::uint32_t long_head = 2048;

// A body may come this slowly. Unit: bytes per second.
constexpr std::uint64_t lowest_body_rate = 1024;

}  // namespace

/// What is known of one connection, in its coroutine's frame; small, because most of them idle.
class Http::Visit {
  public:
    Visit(Http& service, Connection& connection) : http(service), client(connection) {
        ++http.connections_;
    }
    Visit(Visit&& other) noexcept : Visit(other.http, other.client) {}  // into the frame
    Visit& operator=(Visit&&) = delete;
    ~Visit() {
        leave_idle();
        if (--http.connections_ == 0) http.responder_->files().close_descriptors();
    }

    /// Puts this at the end of those that may be closed when there are too many.
    void enter_idle() noexcept {
        idle_ = true;
        older_ = http.last_idle_;
        newer_ = nullptr;
        (older_ != nullptr ? older_->newer_ : http.longest_idle_) = this;
        http.last_idle_ = this;
    }
    void leave_idle() noexcept {
        if (!idle_) return;
        idle_ = false;
        (older_ != nullptr ? older_->newer_ : http.longest_idle_) = newer_;
        (newer_ != nullptr ? newer_->older_ : http.last_idle_) = older_;
    }

    Http& http;
    Connection& client;
    std::unique_ptr<std::string> head_with_body;  // a request whose body is to be read
    std::unique_ptr<Delivery> delivery;           // a response that is to be delivered
    std::uint32_t parsed = 0;                     // bytes of an incomplete head that were parsed
    bool has_deadline = true;                     // for the head that is awaited
    bool closes = false;                          // after this response

  private:
    bool idle_ = false;
    Visit* older_ = nullptr;
    Visit* newer_ = nullptr;
};

void Http::start(ServiceContext& context) {
    const Options& options = context.options<Options>();
    responder_ = std::make_unique<Responder>(context, options);
    limits_.head = options.max_head.value;
    limits_.body = options.max_body.value;
    header_timeout_ = options.header_timeout;
    body_timeout_ = options.body_timeout;
    send_timeout_ = options.send_timeout;
    idle_timeout_ = options.idle_timeout;
    max_connections_ = connection_limit(context, options.max_connections, Files::most_descriptors);
}

task<void> Http::serve(Connection& client) {
    return attend(Visit(*this, client));
}

// Each co_await here has its place in the frame of every idle connection, so there are only two.
task<void> Http::attend(Visit visit) {
    if (!visit.http.admit(visit)) co_return;
    for (;;) {
        const Step step = visit.http.answer(visit);
        if (step == Step::close) co_return;
        if (step != Step::read) {
            if (!co_await visit.http.pursue(visit, step)) co_return;
            continue;
        }
        if (visit.client.received().empty()) visit.enter_idle();
        const bool more = co_await visit.client.fill(OnDrain::grace);
        visit.leave_idle();
        if (more) continue;
        visit.http.end_of_input(visit);
        co_return;
    }
}

/// False when there are too many already: this one has been told.
bool Http::admit(Visit& visit) {
    if (connections_ > max_connections_ && !make_room()) {
        responder_->renew(coarse_now());
        refuse(visit, RequestHead{}, {Status::unavailable, "max_connections is reached"});
        return false;
    }
    visit.client.send_timeout(send_timeout_);
    limit_head(visit);
    return true;
}

/// From its first byte on a request has its own time; to be idle is another thing.
void Http::limit_head(Visit& visit) {
    visit.has_deadline = true;
    visit.client.deadline(header_timeout_);
    visit.client.read_timeout(seconds(0));
}

void Http::limit_idleness(Visit& visit) {
    visit.has_deadline = false;
    visit.client.no_deadline();
    visit.client.read_timeout(idle_timeout_);
}

/// Closes the connection that has been idle longest; false when none is.
bool Http::make_room() {
    if (longest_idle_ == nullptr) return false;
    Visit& longest = *longest_idle_;
    longest.leave_idle();
    longest.client.wake();
    return true;
}

/// Does what has to be waited for; false when the connection is to end.
task<bool> Http::pursue(Visit& visit, Step step) {
    bool goes_on = false;  // gcc 12 loses its place in "co_return co_await"
    if (step == Step::flush) {
        goes_on = co_await visit.client.flush();
    } else if (step == Step::body) {
        goes_on = co_await read_body(visit);
    } else {
        const bool delivered = co_await deliver(visit);
        goes_on = delivered && !visit.closes;
    }
    co_return goes_on;
}

/// Answers the requests that have been received, as far as that needs no wait.
Http::Step Http::answer(Visit& visit) {
    Connection& client = visit.client;
    if (client.received().empty()) return Step::read;
    responder_->renew(coarse_now());
    for (;;) {
        const std::string_view bytes = client.received();
        if (bytes.empty()) return Step::read;
        if (client.unsent() > most_gathered) return Step::flush;
        if (!is_worth_parsing(visit)) return Step::read;
        RequestHead head;
        const HeadResult result = parse_head(bytes, limits_, head);
        if (result.kind == HeadResult::Kind::incomplete) return await_rest_of_head(visit);
        if (result.kind == HeadResult::Kind::refused) return refuse(visit, head, result.refusal);
        const Step step = answer_request(visit, head, bytes.substr(0, result.length));
        if (step != Step::read) return step;
    }
}

/// A long head that trickles in is parsed again only when a line has ended or twice as much is
/// there, so that its bytes are not looked at over and over.
bool Http::is_worth_parsing(const Visit& visit) const noexcept {
    const std::string_view bytes = visit.client.received();
    return visit.parsed < long_head || bytes.size() >= 2 * visit.parsed ||
           bytes.size() >= limits_.head || bytes.find('\n', visit.parsed) != std::string_view::npos;
}

Http::Step Http::await_rest_of_head(Visit& visit) {
    visit.parsed = static_cast<std::uint32_t>(visit.client.received().size());
    if (!visit.has_deadline) limit_head(visit);
    return Step::read;
}

Http::Step Http::answer_request(Visit& visit, const RequestHead& head, std::string_view bytes) {
    Connection& client = visit.client;
    client.consume(bytes.size());
    visit.parsed = 0;
    if (visit.has_deadline) limit_idleness(visit);
    if (head.body != BodyKind::none) return begin_body(visit, head, bytes);
    return respond(visit, head);
}

Http::Step Http::respond(Visit& visit, const RequestHead& head) {
    // A worker that leaves says so with the last answer: a request that is already here would
    // otherwise go unanswered, and its client could not tell whether it was acted on.
    const bool is_last = visit.client.draining() && visit.client.received().empty();
    const bool persists = head.keep_alive && !is_last;
    visit.closes = !persists;
    visit.delivery = responder_->respond(visit.client, head, persists);
    if (visit.delivery) return Step::deliver;
    return persists ? Step::read : Step::close;
}

/// Answers what can't be answered well, or where it is unknown where the next request begins.
Http::Step Http::refuse(Visit& visit, const RequestHead& head, Refusal refusal) {
    visit.client.log(LogLevel::debug, refusal.why);
    responder_->respond_with(visit.client, head, refusal.status, false);
    visit.client.linger();
    return Step::close;
}

Http::Step Http::begin_body(Visit& visit, const RequestHead& head, std::string_view bytes) {
    const bool is_welcome =
        head.method == Method::get || head.method == Method::head || head.method == Method::options;
    if (head.expects_continue && !is_welcome)
        return refuse(
            visit, head,
            {head.method == Method::known ? Status::method_not_allowed : Status::not_implemented,
             "expects to continue with a method that is refused"});
    visit.head_with_body = std::make_unique<std::string>(bytes);
    if (head.expects_continue && visit.client.received().empty())
        visit.client.put("HTTP/1.1 100 Continue\r\n\r\n");
    return Step::body;
}

/// Reads and discards the body, then answers its request; false when the connection is to end.
task<bool> Http::read_body(Visit& visit) {
    const std::unique_ptr<std::string> text = std::move(visit.head_with_body);
    Connection& client = visit.client;
    BodyReader reader = reader_for(*text);
    const TimePoint begin = coarse_now().monotonic;
    client.read_timeout(seconds(0));
    for (;;) {
        const BodyResult result = reader.consume(client.received());
        client.consume(result.consumed);
        if (result.kind == BodyResult::Kind::complete) break;
        if (result.kind == BodyResult::Kind::refused) {
            refuse_parsed(visit, *text, result.refusal);
            co_return false;
        }
        const seconds earned(reader.content_taken() / lowest_body_rate);
        const auto spent = coarse_now().monotonic - begin;
        client.deadline(std::chrono::floor<seconds>(body_timeout_ + earned - spent));
        if (co_await client.fill(OnDrain::wait)) continue;
        if (client.why() == End::deadline)
            refuse_parsed(visit, *text, {Status::request_timeout, "body slower than body_timeout"});
        co_return false;
    }
    limit_idleness(visit);
    const Step step = respond_parsed(visit, *text);
    if (step == Step::deliver && !co_await deliver(visit)) co_return false;
    co_return !visit.closes;
}

// The head was parsed before its body was read, and found complete; its views have moved since.

BodyReader Http::reader_for(std::string_view text) const {
    RequestHead head;
    static_cast<void>(parse_head(text, limits_, head));
    return {head, limits_.body};
}

Http::Step Http::respond_parsed(Visit& visit, std::string_view text) {
    RequestHead head;
    static_cast<void>(parse_head(text, limits_, head));
    responder_->renew(coarse_now());
    return respond(visit, head);
}

void Http::refuse_parsed(Visit& visit, std::string_view text, Refusal refusal) {
    RequestHead head;
    static_cast<void>(parse_head(text, limits_, head));
    responder_->renew(coarse_now());
    refuse(visit, head, refusal);
}

/// Sends what was too much to be gathered; false when it didn't reach the client.
task<bool> Http::deliver(Visit& visit) {
    const std::unique_ptr<Delivery> delivery = std::move(visit.delivery);
    Connection& client = visit.client;
    bool delivered = true;
    for (const Delivery::Part& part : delivery->parts) {
        client.put(part.before);
        const StaticFile& file = *delivery->file;
        delivered = co_await client.send_file(file.descriptor(), part.range.first,
                                              part.range.length(), file.mapped(part.range));
        if (!delivered) break;
    }
    if (delivered && !delivery->after.empty()) delivered = co_await client.write(delivery->after);
    if (delivered && delivery->page) delivered = co_await client.write(delivery->page->content());
    if (!delivery->log_line.empty())
        responder_->log(delivered ? delivery->log_line : delivery->failed_log_line);
    if (!delivered && client.why() == End::truncated)
        client.log(LogLevel::warning, "a file was cut while it was sent; connection reset");
    if (delivered && delivery->yields && !visit.closes)
        delivered = co_await client.sleep_for(milliseconds(0));
    co_return delivered;
}

/// Nothing more comes: a head that was begun too long ago is answered, all else needs no answer.
void Http::end_of_input(Visit& visit) {
    if (visit.client.why() != End::deadline || visit.client.received().empty()) return;
    responder_->renew(coarse_now());
    RequestHead head;  // for its request line, which the log then shows
    static_cast<void>(parse_head(visit.client.received(), limits_, head));
    refuse(visit, head, {Status::request_timeout, "head slower than header_timeout"});
}

}  // namespace preforkd::worker
