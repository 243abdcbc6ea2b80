#include "worker/services/status.hpp"

#include <array>

#include "shared/scoreboard_reader.hpp"
#include "shared/snapshot_text.hpp"
#include "worker/services/http_files.hpp"
#include "worker/services/status_page.hpp"

namespace preforkd::worker {

using namespace http;

namespace {

constexpr seconds idle_timeout{75};
constexpr seconds head_timeout{10};
constexpr Limits limits{};

// Nothing but what the page itself holds, and nothing is kept: numbers are old in a second.
constexpr std::string_view more_fields =
    "Cache-Control: no-store\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'\r\n";
constexpr std::string_view allowed_methods = "Allow: GET, HEAD\r\n";

}  // namespace

void StatusService::start(ServiceContext& context) {
    scoreboard_ = context.scoreboard();
}

task<void> StatusService::serve(Connection& client) {
    client.read_timeout(idle_timeout);
    client.deadline(head_timeout);
    for (;;) {
        std::string response;
        const Step step = answer(client, response);
        if (step == Step::read) {
            if (!co_await client.fill(OnDrain::grace)) co_return;
            continue;
        }
        if (!co_await client.write(response) || step == Step::send_and_close) co_return;
    }
}

/// Takes the next request, if all of it is there.
StatusService::Step StatusService::answer(Connection& client, std::string& response) {
    const std::string_view bytes = client.received();
    if (bytes.empty()) return Step::read;
    RequestHead head;
    const HeadResult result = parse_head(bytes, limits, head);
    if (result.kind == HeadResult::Kind::incomplete) {
        client.deadline(head_timeout);
        return Step::read;
    }
    client.no_deadline();
    if (result.kind == HeadResult::Kind::refused || head.body != BodyKind::none) {
        // Where the next request would begin is not known, or not worth finding out.
        const bool refused = result.kind == HeadResult::Kind::refused;
        Content content;
        content.status = refused ? result.refusal.status : Status::method_not_allowed;
        content.text = std::string(reason_phrase(content.status)) + "\n";
        response = render(content, head, false);
        client.linger();
        return Step::send_and_close;
    }
    const Content content = content_of(head);
    client.consume(result.length);
    client.count_request(code(content.status));
    const bool is_last = client.draining() && client.received().empty();
    const bool persists = head.keep_alive && !is_last;
    response = render(content, head, persists);
    return persists ? Step::send : Step::send_and_close;
}

StatusService::Content StatusService::content_of(const RequestHead& head) {
    if (head.method != Method::get && head.method != Method::head)
        return {Status::method_not_allowed, "text/plain; charset=utf-8", "only GET and HEAD\n"};
    if (head.path == "/live") return {Status::ok, "text/plain; charset=utf-8", "live\n"};
    for (const std::string_view path : {"/", "/metrics", "/status.json", "/ready"})
        if (head.path == path) return snapshot_as(path);
    return {Status::not_found, "text/plain; charset=utf-8",
            "here are /, /metrics, /status.json, /live and /ready\n"};
}

StatusService::Content StatusService::snapshot_as(std::string_view path) {
    if (scoreboard_ == nullptr)
        return {Status::unavailable, "text/plain; charset=utf-8", "there is no scoreboard\n"};
    const auto snapshot = scoreboard_->read();
    if (!snapshot)
        return {Status::unavailable, "text/plain; charset=utf-8",
                "the master was stopped in the middle of a change\n"};
    const TimePoint now = Clock::now();
    if (path == "/metrics")
        return {Status::ok, "text/plain; version=0.0.4; charset=utf-8", to_metrics(*snapshot, now)};
    if (path == "/status.json") return {Status::ok, "application/json", to_json(*snapshot, now)};
    if (path == "/") return {Status::ok, "text/html; charset=utf-8", status_page(*snapshot, now)};
    if (snapshot->front.ready != 0) return {Status::ok, "text/plain; charset=utf-8", "ready\n"};
    return {Status::unavailable, "text/plain; charset=utf-8", "not ready\n"};
}

std::string StatusService::render(const Content& content, const RequestHead& head, bool persists) {
    starts_.renew(coarse_now().wall);
    std::array<char, start_capacity> start{};
    const Persistence persistence = !persists                ? Persistence::closes
                                    : head.minor_version > 0 ? Persistence::persists
                                                             : Persistence::persists_explicitly;
    const char* const end = render_start(start.data(), content.status, starts_, persistence);
    std::string fields(more_fields);
    if (content.status == Status::method_not_allowed) fields += allowed_methods;
    const Page page = make_page(content.type, content.text, fields);
    std::string response(start.data(), static_cast<std::size_t>(end - start.data()));
    response += head.method == Method::head ? page.fields() : std::string_view(page.text);
    return response;
}

}  // namespace preforkd::worker
