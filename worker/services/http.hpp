#pragma once

#include <preforkd/sandbox_needs.hpp>
#include <preforkd/service.hpp>

#include <memory>
#include <vector>

#include "worker/services/http_body.hpp"
#include "worker/services/http_responder.hpp"

namespace preforkd::worker {

/// A static file server. Source: RFC 9110, RFC 9112.
class Http final : public Service {
  public:
    using Options = http::Options;
    static std::vector<KeySpec> keys() { return http::option_keys(); }
    static std::vector<SettingProblem> check(const std::vector<Setting>& settings) {
        return http::contradictions(settings);
    }
    static constexpr bool client_speaks_first = true;
    static constexpr SandboxNeeds needs{.reads_folders = true};
    static constexpr const char* doc = "Serves the files of a folder over HTTP/1.1.";
    static constexpr const char* sample_address = "*:80";

    void start(ServiceContext& context) override;
    task<void> serve(Connection& client) override;
    bool make_room() override;
    [[nodiscard]] seconds unacknowledged_limit() const noexcept override { return send_timeout_; }

  private:
    class Visit;

    /// What to wait for before going on.
    enum class Step : std::uint8_t { read, flush, body, deliver, close };

    static task<void> attend(Visit visit);
    [[nodiscard]] bool admit(Visit& visit);
    void limit_head(Visit& visit);
    void limit_idleness(Visit& visit);
    [[nodiscard]] task<bool> pursue(Visit& visit, Step step);
    [[nodiscard]] Step answer(Visit& visit);
    [[nodiscard]] bool is_worth_parsing(const Visit& visit) const noexcept;
    [[nodiscard]] Step await_rest_of_head(Visit& visit);
    [[nodiscard]] Step answer_request(Visit& visit, const http::RequestHead& head,
                                      std::string_view bytes);
    [[nodiscard]] Step respond(Visit& visit, const http::RequestHead& head);
    Step refuse(Visit& visit, const http::RequestHead& head, http::Refusal refusal);
    [[nodiscard]] Step begin_body(Visit& visit, const http::RequestHead& head,
                                  std::string_view bytes);
    [[nodiscard]] task<bool> read_body(Visit& visit);
    [[nodiscard]] http::BodyReader reader_for(std::string_view text) const;
    [[nodiscard]] Step respond_parsed(Visit& visit, std::string_view text);
    void refuse_parsed(Visit& visit, std::string_view text, http::Refusal refusal);
    [[nodiscard]] task<bool> deliver(Visit& visit);
    void end_of_input(Visit& visit);

    std::unique_ptr<http::Responder> responder_;
    http::Limits limits_;
    seconds header_timeout_{};
    seconds body_timeout_{};
    seconds send_timeout_{};
    seconds idle_timeout_{};
    std::size_t max_connections_ = 0;
    std::size_t connections_ = 0;
    Visit* longest_idle_ = nullptr;  // a list of those that wait for a request
    Visit* last_idle_ = nullptr;
};

}  // namespace preforkd::worker
