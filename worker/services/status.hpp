#pragma once

#include <preforkd/service.hpp>

#include <string>
#include <string_view>

#include "worker/services/http_parser.hpp"
#include "worker/services/http_response.hpp"

namespace preforkd::worker {

/// Shows the whole server, whichever worker is asked: `/` is a page for people, `/metrics` is for
/// Prometheus, `/status.json` for programs, `/live` and `/ready` are for whoever routes clients.
class StatusService final : public Service {
  public:
    static constexpr bool client_speaks_first = true;
    static constexpr bool reads_scoreboard = true;
    static constexpr const char* doc =
        "Shows how the server is: a page, and metrics for Prometheus, over HTTP/1.1.";
    static constexpr const char* sample_address = "127.0.0.1:9190";

    void start(ServiceContext& context) override;
    task<void> serve(Connection& client) override;

  private:
    enum class Step : std::uint8_t { read, send, send_and_close };

    /// Something that a path leads to.
    struct Content {
        http::Status status = http::Status::ok;
        std::string_view type = "text/plain; charset=utf-8";
        std::string text;
    };

    [[nodiscard]] Step answer(Connection& client, std::string& response);
    [[nodiscard]] Content content_of(const http::RequestHead& head);
    [[nodiscard]] Content snapshot_as(std::string_view path);
    [[nodiscard]] std::string render(const Content& content, const http::RequestHead& head,
                                     bool persists);

    ScoreboardReader* scoreboard_ = nullptr;
    http::HeadStarts starts_;
};

}  // namespace preforkd::worker
