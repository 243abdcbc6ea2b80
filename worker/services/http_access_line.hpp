#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/services/http_date.hpp"
#include "worker/services/http_parser.hpp"

namespace preforkd::worker::http {

/// Renders lines of the access log in the combined format:
/// IP - - [06/Nov/1994:08:49:37 +0000] "REQUEST LINE" STATUS BYTES "REFERER" "USER AGENT".
/// Source: Apache's mod_log_config, "combined"; bytes that could end a field are \xNN.
class AccessLines {
  public:
    /// The line with its LF, valid until the next call. `content_size` is that of the content
    /// sent; none, when it is not known how much of it arrived. What `head` lacks is "-".
    [[nodiscard]] std::string_view render(std::string_view ip, const RequestHead& head,
                                          Status status, std::optional<std::uint64_t> content_size,
                                          UnixTime now);

  private:
    void renew(UnixTime now);

    std::string line_;
    std::string time_;
    UnixTime second_ = -1;
};

}  // namespace preforkd::worker::http
