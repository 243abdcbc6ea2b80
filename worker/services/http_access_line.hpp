#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shared/config.hpp"
#include "worker/services/http_date.hpp"
#include "worker/services/http_parser.hpp"

namespace preforkd::worker::http {

/// Renders lines of the access log, in the combined format:
/// IP - - [06/Nov/1994:08:49:37 +0000] "REQUEST LINE" STATUS BYTES "REFERER" "USER AGENT",
/// or as JSON objects of always the same keys: time, listener, client, host, method, target,
/// request, status, bytes, referer, user_agent. Whatever a client sent stays on its line and in its
/// value: other bytes than printable ASCII, quotes and backslashes are \xNN, in JSON \u00NN.
/// Source: Apache's mod_log_config, "combined"; RFC 8259; RFC 3339.
class AccessLines {
  public:
    explicit AccessLines(LogFormat format = LogFormat::combined, std::string_view listener = "");

    /// The line with its LF, valid until the next call. `content_size` is that of the content
    /// sent; none, when it is not known how much of it arrived. What is not there is "-" or null.
    [[nodiscard]] std::string_view render(std::string_view ip, const RequestHead& head,
                                          Status status, std::optional<std::uint64_t> content_size,
                                          UnixTime now);

  private:
    using Size = std::optional<std::uint64_t>;

    void render_combined(std::string_view ip, const RequestHead& head, Status status, Size size);
    void render_json(std::string_view ip, const RequestHead& head, Status status, Size size);
    void renew(UnixTime now);

    LogFormat format_;
    std::string listener_;  ///< as JSON has it, with its key
    std::string line_;
    std::string time_;
    UnixTime second_ = -1;
};

}  // namespace preforkd::worker::http
